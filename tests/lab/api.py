# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few API calls the lab makes itself, over a daemon's unix socket."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from .errors import LabError


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(path: Path, method: str, url: str, body: object = None, timeout: float = 30) -> Any:
    """The `metadata` of the answer. Raises LabError for an error answer, OSError where nobody listens."""
    connection = _UnixConnection(path, timeout)
    try:
        connection.request(method, url, None if body is None else json.dumps(body))
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if answer["type"] == "error":
        raise LabError(f"{method} {url} on {path}: {answer['error']}")
    return answer["metadata"]


def is_ready(path: Path) -> bool:
    """Whether the daemon behind the socket has started fully."""
    try:
        call(path, "GET", "/internal/ready", timeout=5)
    except (OSError, http.client.HTTPException, LabError):
        return False
    return True
