# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The words that plans are made of: a step, and the server a step runs on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

Current = TypeVar("Current")
On_contra = TypeVar("On_contra", contravariant=True)

ATTEMPTS = 10
"""How often something is planned and written because somebody else changes it meanwhile: of several that write at once
one gets through each time."""


class Reader(Protocol):
    """What reading needs of a server.

    Paths are relative to ``/1.0``, which is the empty one. Every call is bound to the project and has a timeout. Raises
    ``LxdError``.
    """

    name: str
    product: str
    environment: Mapping[str, Any]
    config: Mapping[str, str]

    def has(self, extension: str) -> bool: ...
    def get(self, path: str, /, **query: Any) -> Any: ...
    def find(self, path: str, /, **query: Any) -> Any | None: ...
    def find_tagged(self, path: str) -> tuple[Any, str] | None: ...


class Api(Reader, Protocol):
    """What steps need besides; ``lxd.Server`` is the real one."""

    endpoint: str
    options: Any
    extensions: frozenset[str]
    wait_timeout: float

    def text(self, path: str, /, **query: Any) -> str: ...
    def download(self, path: str, /, **query: Any) -> Any: ...
    def upload(self, path: str, content: Any, about: Mapping[str, str], /, **query: Any) -> None: ...
    def post(self, path: str, body: Mapping[str, Any], /, **query: Any) -> Any: ...
    def patch(self, path: str, body: Mapping[str, Any]) -> Any: ...

    def put(
        self, path: str, body: Mapping[str, Any], etag: str = "", timeout: float | None = None, **query: Any
    ) -> Any: ...

    def delete(self, path: str, patient: bool = True) -> Any: ...
    def begin(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]: ...
    def wait(self, operation: Mapping[str, Any], timeout: float) -> Any: ...
    def cancel(self, operation: Mapping[str, Any]) -> None: ...
    def urls(self) -> tuple[str, ...]: ...
    def tasks(self) -> list[Mapping[str, Any]]: ...
    def settle(self, path: str, about: str = "", timeout: float | None = None) -> bool: ...
    def reachable(self) -> bool: ...
    def twin(self) -> Api: ...
    def close(self) -> None: ...


class Step(Protocol[Current, On_contra]):
    """One change. Frozen, compared by value, and dependent on nothing but its own fields. Runs on a server, or on the
    servers that it concerns."""

    @property
    def text(self) -> str:
        """What it does, for people: ``create container web1 from image debian/12``. No secrets."""

    def effect(self, current: Current) -> Current:
        """What ``current`` becomes when the step is done. Pure."""

    def run(self, on: On_contra) -> None:
        """Do it, and wait until it is done. Raises ``LxdError``."""


def predict(current: Current, steps: Iterable[Step[Current, Any]]) -> Current:
    """What ``current`` becomes when all steps are done."""
    for step in steps:
        current = step.effect(current)
    return current
