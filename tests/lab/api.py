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
    """The `metadata` of the answer to `body`: bytes as they are, anything else as JSON.

    Raises LabError for an error answer, OSError where nobody listens.
    """
    content = body if body is None or isinstance(body, bytes) else json.dumps(body)
    connection = _UnixConnection(path, timeout)
    try:
        connection.request(method, url, content, {"Content-Type": _content_type(content)})
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if answer["type"] == "error":
        raise LabError(f"{method} {url} on {path}: {answer['error']}")
    return answer["metadata"]


def _content_type(content: bytes | str | None) -> str:
    return "application/octet-stream" if isinstance(content, bytes) else "application/json"


def operate(path: Path, method: str, url: str, body: object, seconds: int = 120) -> dict[str, Any]:
    """Start an operation and wait for its end: its `metadata`. Raises LabError when it fails or takes longer."""
    started = call(path, method, url, body, seconds)
    ended = call(path, "GET", f"/1.0/operations/{started['id']}/wait?timeout={seconds}", timeout=seconds + 10)
    if ended["status"] != "Success":
        raise LabError(f"{method} {url} on {path}: {ended['err'] or ended['status']}")
    return dict(ended["metadata"] or {})


def is_ready(path: Path) -> bool:
    """Whether the daemon behind the socket has started fully."""
    try:
        call(path, "GET", "/internal/ready", timeout=5)
    except (OSError, http.client.HTTPException, LabError):
        return False
    return True
