# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps that change whether an instance runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .errors import NotFound, OperationFailed, Refused, TimedOut
from .instance import Current
from .instance_record import power_of
from .steps import Api

MARGIN = 30.0
"""Seconds that the server may take beyond the time the guest is given."""
AFTER = {
    "start": "running",
    "resume": "running",
    "unfreeze": "running",
    "freeze": "frozen",
    "stop": "stopped",
    "suspend": "suspended",
    "restart": "running",
}
"""What the power is after each action."""
NEXT_BOOT = "the next"
"""Stands in predictions for the time of a start that has not been."""


@dataclass(frozen=True)
class Power:
    """Change the power state. ``kill`` says what happens to a guest that does not stop in ``timeout`` seconds: never
    (fail), late (kill it then), now (do not ask it at all)."""

    name: str
    action: str
    timeout: int = 30
    kill: str = "never"
    ephemeral: bool = False

    @property
    def text(self) -> str:
        return f"kill {self.name}" if self.action == "stop" and self.kill == "now" else f"{self.action} {self.name}"

    def effect(self, current: Current) -> Current:
        if self.ephemeral and self.action == "stop":
            return Current(name=self.name, server=current.server, origin=current.origin)
        boot = NEXT_BOOT if self.action in ("start", "resume", "restart") else current.boot
        return replace(current, power=AFTER[self.action], boot=boot)

    def run(self, on: Api) -> None:
        if self.action in ("stop", "restart"):
            self._stop(on)
        elif self.action == "suspend":
            self._suspend(on)
        else:
            action = "start" if self.action == "resume" else self.action
            try:
                self._put(on, {"action": action, "stateful": self.action == "resume"})
            except OperationFailed:
                if not self._is_so(on):
                    raise

    def _stop(self, on: Api) -> None:
        if self.kill == "now":
            self._put(on, {"action": self.action, "force": True})
            return
        try:
            self._ask(on)
        except (OperationFailed, TimedOut) as error:
            if self._is_so(on):
                return
            if self.kill == "late":
                self._put(on, {"action": self.action, "force": True})
                return
            kind = type(error)
            raise kind(
                f"{self.name} on {on.name}: the guest did not stop within stop_timeout ({self.timeout} seconds); "
                f"force: true kills it. The server says: {error.message}",
                **error.details,
            ) from None

    def _ask(self, on: Api) -> None:
        """Ask the guest to stop: once more where the server gives up at once, as when its init comes or goes (liblxc
        do_lxcapi_shutdown)."""
        end = time.monotonic() + self.timeout
        try:
            self._request(on, self.timeout)
        except OperationFailed:
            left = int(end - time.monotonic())
            if left < 1 or self._is_so(on):
                raise
            self._request(on, left)

    def _request(self, on: Api, timeout: int) -> None:
        # LXD 5.0 takes a restart's timeout for nanoseconds (lxd/instance_state.go doInstanceStatePut): bound it from
        # here.
        told = -1 if self.action == "restart" else timeout
        self._put(on, {"action": self.action, "force": False, "timeout": told}, timeout + MARGIN)

    def _is_so(self, on: Api) -> bool:
        """Whether it has come to that after all, as by somebody else; an ephemeral one that has stopped is gone."""
        try:
            return self.action != "restart" and power_of(on.get(f"instances/{self.name}")) == AFTER[self.action]
        except NotFound:
            return self.action == "stop"

    def _suspend(self, on: Api) -> None:
        try:
            self._put(on, {"action": "stop", "stateful": True})
        except OperationFailed as error:
            if "criu" not in error.message.lower() and "migratable" not in error.message.lower():
                raise
            raise Refused(
                f"{self.name} on {on.name}: this server cannot save the state of a running container (it needs "
                "a working CRIU; "
                "LXD 6.6 and later have none). The nearest that works is state: frozen. The server says: "
                f"{error.message}",
                **error.details,
            ) from None

    def _put(self, on: Api, body: Mapping[str, Any], timeout: float | None = None) -> None:
        on.put(f"instances/{self.name}/state", body, timeout=timeout)


def powers(name: str, actions: Iterable[str], timeout: int = 30, force: bool = False) -> tuple[Power, ...]:
    """Changes of the power state, one after another. ``force``: the guest is not asked, but killed."""
    return tuple(Power(name, action, timeout, "now" if force else "never") for action in actions)


def thaw(on: Api, name: str) -> None:
    """Thaw a guest, which another process may have thawed meanwhile: the server refuses it then."""
    try:
        on.put(f"instances/{name}/state", {"action": "unfreeze"})
    except OperationFailed:
        if on.get(f"instances/{name}")["status"] == "Frozen":
            raise
