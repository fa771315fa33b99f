# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The LXD or Incus server: our own waits, ETags and errors over the transport.

pylxd's models are not used: ``Operation.wait`` has no timeout, ``save()`` no ETag, ``migrate()`` loses data.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

from .errors import Conflict, NotFound, OperationFailed, Refused, TimedOut, Unreachable
from .transport import ANSWER, Rejected, Transport
from .trust import Connection, Facts, let_in, reason

try:
    import requests
except ImportError:
    pass  # `let_in` says so.

PROBE = 10.0
"""Seconds within which it must answer where it is only asked whether it does."""
SILENCE = 60.0
"""Seconds that one request waits for an operation: firewalls drop connections that are silent for long."""
BUSY = "Instance is busy running a"
"""So the server refuses while it is at work on an instance (lxd/instance/operationlock), without an operation."""
BUSY_PAUSE = 0.2
OVERTAKEN = "A matching non-reusable operation has now succeeded"
"""So it refuses a change after another of its kind, which it waited for."""


def connect(options: Connection, environ: Mapping[str, str], check: bool = False) -> Server:
    """A connected, trusted server; ``check`` as ``let_in`` has it."""
    transport, facts = let_in(options, environ, check)
    return Server(transport, facts, replace(options, endpoint=transport.endpoint))


class Server:
    """A trusted connection to one server and project. Implements ``steps.Api``."""

    def __init__(self, transport: Transport, facts: Facts, options: Connection) -> None:
        self._transport = transport
        self.options = options
        self.endpoint = endpoint = options.endpoint
        self.project = options.project or "default"
        self.wait_timeout = options.wait_timeout
        self.environment: Mapping[str, Any] = facts["environment"]
        self.config: Mapping[str, str] = facts.get("config") or {}
        """The server's own config, as it was when the connection was made."""
        self.extensions = frozenset(facts["api_extensions"])
        self.product = self.environment.get("server", "lxd")
        self.name = f"{self.environment.get('server_name') or endpoint} ({endpoint})"
        self._project_is_there = self.project == "default"

    def twin(self) -> Server:
        """Another connection to the same server and project, for a thread."""
        return connect(self.options, {})

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def reachable(self) -> bool:
        """Whether the server answers now, at all."""
        try:
            self._call("get", "", timeout=PROBE)
        except (TimedOut, Unreachable):
            return False
        return True

    def has(self, extension: str) -> bool:
        """Whether the server has an API extension."""
        return extension in self.extensions

    def get(self, path: str, /, **query: Any) -> Any:
        """The ``metadata`` of a GET. Raises NotFound."""
        found = self._ask("get", path, params=query)["metadata"]
        if found == []:
            self._check_project()
        return found

    def find(self, path: str, /, **query: Any) -> Any | None:
        """The ``metadata`` of a GET, or None where there is no such object."""
        try:
            return self.get(path, **query)
        except NotFound:
            return None

    def find_tagged(self, path: str) -> tuple[Any, str] | None:
        """The ``metadata`` and the ETag of a GET, or None."""
        try:
            response = self._call("get", path)
        except NotFound:
            return None
        return response.json()["metadata"], response.headers.get("ETag", "")

    def text(self, path: str, /, **query: Any) -> str:
        """The raw body of a GET."""
        return str(self._call("get", path, params=query).text)

    @contextmanager
    def download(self, path: str, /, **query: Any) -> Iterator[tuple[Mapping[str, str], Iterator[bytes]]]:
        """The raw body of a GET in pieces, with its headers."""
        with self._in_words("get", path), self._call("get", path, params=query, stream=True) as response:
            yield response.headers, response.iter_content(1 << 16)

    def upload(self, path: str, content: BinaryIO, about: Mapping[str, str], /, **query: Any) -> None:
        """POST a guest's file or a backup, with facts ``about`` it (headers ``x-lxd-mode`` and the like), and wait."""
        headers = {f"x-{self.product}-{fact}": value for fact, value in about.items()}
        headers["content-type"] = "application/octet-stream"
        self._write_once("post", path, self.wait_timeout, data=content, headers=headers, params=query)

    def post(self, path: str, body: Mapping[str, Any], /, **query: Any) -> Any:
        """POST, and wait for its operation."""
        return self._write("post", path, None, json=body, params=query)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """PATCH, which merges configuration; an empty value removes a key."""
        return self._write("patch", path, None, json=body)

    def put(
        self, path: str, body: Mapping[str, Any], etag: str = "", timeout: float | None = None, **query: Any
    ) -> Any:
        """PUT guarded by an ETag, and wait for its operation. Raises Conflict when the object changed since."""
        headers = {"If-Match": etag} if etag else {}
        return self._write("put", path, timeout, json=body, headers=headers, params=query)

    def delete(self, path: str, patient: bool = True) -> Any:
        """DELETE, and wait. Not ``patient``: raises Conflict where the server is at work on it."""
        return self._write("delete", path, None, patient)

    def begin(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """POST, without a wait: the record of its operation, with secrets."""
        record: Mapping[str, Any] = self._ask("post", path, json=body)["metadata"]
        return record

    def wait(self, operation: Mapping[str, Any], timeout: float) -> Any:
        """The finished operation. Raises OperationFailed, or TimedOut with the operation's record; it then goes on
        in the server."""
        about = _about(operation)
        end = time.monotonic() + timeout
        record: Any = operation
        while record["status_code"] < 200:
            left = end - time.monotonic()
            if left <= 0:
                raise TimedOut(
                    f"{self.name}: {about} did not end within {timeout:g} seconds", operation=_public(record)
                )
            try:
                record = self._watched(operation["id"], min(left, SILENCE))
            except NotFound:
                raise OperationFailed(
                    f"{self.name}: {about}: the server no longer knows this operation, its outcome is unknown",
                    operation=_public(operation),
                ) from None
            except (TimedOut, Unreachable) as error:
                raise type(error)(
                    f"{self.name}: {about}: its outcome is unknown, as the server does not answer: "
                    f"{error.message.removeprefix(f'{self.name}: ')}",
                    operation=_public(operation),
                ) from None
        if record["status_code"] != 200:
            kind = Conflict if OVERTAKEN in record.get("err", "") else OperationFailed
            raise kind(f"{self.name}: {about}: {record.get('err')}", operation=_public(record))
        return record

    def cancel(self, operation: Mapping[str, Any]) -> None:
        """Cancel an operation, where that can be."""
        try:
            self._call("delete", f"operations/{operation['id']}")
        except (NotFound, OperationFailed):
            return

    def urls(self) -> tuple[str, ...]:
        """Where other servers may reach this one."""
        if self.endpoint.startswith("https://"):
            return (self.endpoint.rstrip("/"),)
        return tuple(f"https://{address}" for address in self.environment.get("addresses") or ())

    def tasks(self) -> list[Mapping[str, Any]]:
        """The operations that run, but for consoles and the like."""
        running = self.get("operations", recursion=1).get("running") or []
        return [one for one in running if one["class"] == "task"]

    def settle(self, path: str, about: str = "", timeout: float | None = None) -> bool:
        """Wait until no operation, such as a killed run leaves, runs on an object (any, if ``path`` is empty) that has
        a word in its description; whether one did."""
        tasks = [one for one in self.tasks() if about in one["description"].lower()]
        mine = [one for one in tasks if not path or _concerns(one, path)]
        for operation in mine:
            try:
                self.wait(operation, self.wait_timeout if timeout is None else timeout)
            except (Conflict, OperationFailed, NotFound):
                pass  # Whoever began it was told; what it left is read next.
        return bool(mine)

    def _write(self, method: str, path: str, timeout: float | None, patient: bool = True, **request: Any) -> Any:
        timeout = self.wait_timeout if timeout is None else timeout
        end = time.monotonic() + min(timeout, SILENCE)
        while True:
            try:
                return self._write_once(method, path, timeout, **request)
            except OperationFailed as error:
                # A guest that ended by itself is Stopped before the server is done with that.
                if BUSY not in error.message or time.monotonic() > end:
                    raise
                if not patient:
                    raise Conflict(error.message) from None
            time.sleep(BUSY_PAUSE)

    def _write_once(self, method: str, path: str, timeout: float, **request: Any) -> Any:
        # A volume's restore has no operation. A socket's wait cannot be endless.
        answer = self._ask(method, path, timeout=min(max(ANSWER, timeout), 86400), **request)
        if answer.get("type") != "async":
            return answer.get("metadata")
        return self.wait(answer["metadata"], timeout)

    def _watched(self, operation: str, seconds: float) -> Any:
        """An operation's record when it has ended, or after a time."""
        # The server counts whole seconds.
        seconds = max(1, round(seconds))
        path = f"operations/{operation}"
        try:
            answer = self._ask("get", f"{path}/wait", params={"timeout": seconds}, timeout=seconds + ANSWER)
        except (Conflict, NotFound, OperationFailed) as error:
            # So ends a wait of Incus, and a failure (cmd/incusd/operations.go operationWaitGet); LXD gives the record.
            record = self.get(path)
            if record["status_code"] < 200 and "context deadline exceeded" not in error.message:
                raise
            return record
        return answer["metadata"]

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        """The body of an answer in JSON."""
        return self._sent(self._transport.ask, method, path, **request)

    def _call(self, method: str, path: str, **request: Any) -> Any:
        """An answer as requests has it."""
        return self._sent(self._transport.send, method, path, **request)

    def _sent(self, send: Callable[..., Any], method: str, path: str, **request: Any) -> Any:
        query = request.pop("params", {})
        # The server refuses it together with all-projects.
        if self.project != "default" and not {"project", "all-projects"} & set(query):
            query = {**query, "project": self.project}
        named = (request.get("json") or {}).get("name")
        try:
            with self._in_words(method, f"{path} ({named})" if named else path):
                return send(method, path, params=query, **request)
        except NotFound:
            self._check_project()
            raise

    def _check_project(self) -> None:
        """Refuses a project that the server does not have: it lists no instances there, as in one that is empty. Only
        where nothing was found: of a project with many instances the server takes long to tell."""
        if self._project_is_there:
            return
        path = f"projects/{self.project}"
        try:
            with self._in_words("get", path):
                self._transport.send("get", path)
        except NotFound:
            raise Refused(
                f"project {self.project} is not on {self.name}", option="project", found=self.project
            ) from None
        self._project_is_there = True

    @contextmanager
    def _in_words(self, method: str, path: str) -> Iterator[None]:
        """Turn the errors of the transport into ours."""
        try:
            yield
        except Rejected as error:
            other = Conflict if OVERTAKEN in str(error) else OperationFailed
            kind = {404: NotFound, 412: Conflict}.get(error.status, other)
            raise kind(f"{self.name}: {method.upper()} /1.0/{path}: {error}", status=error.status) from None
        except requests.exceptions.Timeout:
            raise TimedOut(f"{self.name}: no answer to {method.upper()} /1.0/{path}") from None
        except requests.exceptions.RequestException as error:
            raise Unreachable(f"{self.name}: {method.upper()} /1.0/{path}: {reason(error)}") from None


def _concerns(operation: Mapping[str, Any], path: str) -> bool:
    return any(url.endswith(f"/{path}") for url in _resources(operation))


def _resources(operation: Mapping[str, Any]) -> list[str]:
    """The paths of the objects that an operation is about."""
    return [url.split("?")[0] for kind in (operation.get("resources") or {}).values() for url in kind]


def _about(operation: Mapping[str, Any]) -> str:
    """What an operation does, and to what: ``Updating instance web1``."""
    names = dict.fromkeys(path.rsplit("/", 1)[-1] for path in _resources(operation))
    return " ".join((operation.get("description") or "operation", ", ".join(names))).rstrip()


def _public(operation: Mapping[str, Any]) -> dict[str, Any]:
    """An operation's record without its metadata, which may hold secrets."""
    return {key: operation.get(key) for key in ("id", "description", "status", "err", "created_at", "updated_at")}
