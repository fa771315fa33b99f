# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Requests to the API of one LXD or Incus server, on a session of pylxd's.

Not through ``pylxd.Client``: it loads and inspects all of pylxd's models for each connection, which takes as long as
ten requests (pylxd/managers.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    import requests

ANSWER = 60.0
"""Seconds within which the server must answer a request that does not wait for an operation."""
FINE = (200, 201, 202)


class Rejected(Exception):
    """The server answered with an error: its ``status``, and its own words."""

    def __init__(self, answer: requests.Response) -> None:
        self.status = answer.status_code
        try:
            words = answer.json()["error"]
        except (KeyError, TypeError, ValueError):
            words = answer.text
        super().__init__(words)


class Transport:
    """One session with one server."""

    def __init__(self, session: requests.Session, endpoint: str) -> None:
        """``endpoint`` is the path of a unix socket, or an https URL."""
        self._session, self.endpoint = session, endpoint
        host = f"http+unix://{quote(endpoint, safe='')}" if endpoint.startswith("/") else endpoint.rstrip("/")
        self._url = f"{host}/1.0"

    def send(self, method: str, path: str = "", **request: Any) -> requests.Response:
        """The answer to a request; ``request`` as requests has it. Raises Rejected, and the errors of requests."""
        url = f"{self._url}/{quote(path)}" if path else self._url
        answer = self._session.request(method, url, **{"timeout": ANSWER, **request})
        if answer.status_code not in FINE:
            raise Rejected(answer)
        return answer

    def ask(self, method: str, path: str = "", **request: Any) -> Any:
        """The body of an answer in JSON. Raises as ``send`` does, also where the body alone calls it an error, with
        status 200: so ends a wait of Incus (cmd/incusd/operations.go operationWaitGet)."""
        answer = self.send(method, path, **request)
        body = answer.json()
        if body["type"] == "error":
            raise Rejected(answer)
        return body

    def close(self) -> None:
        """End the session."""
        self._session.close()
