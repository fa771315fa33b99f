# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""One copy of an instance from one server to another, by their migration protocol (LXD's doc/migration.md)."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from .errors import LxdError, OperationFailed, Refused, TimedOut
from .migration import Link
from .relay import carry
from .steps import Api
from .websocket import opened

BROKEN_OFF = re.compile(r"rsync failed to spawn|rsync error: error in rsync protocol data stream", re.IGNORECASE)
"""How a server says that its rsync did not start, or was cut off."""
ENDING = 60.0
"""Seconds that the servers may take for what is left when all has been sent."""


def once_more(copy: Callable[[], Any]) -> None:
    """Copy, and once more where rsync broke off: the server gives its rsync ten seconds to start (lxd/rsync/rsync.go
    Send), which it misses on a host under load. Of a copy that failed the server leaves nothing, of a refresh what was
    there before."""
    try:
        copy()
    except OperationFailed as error:
        if not BROKEN_OFF.search(error.message):
            raise
        copy()


@dataclass(frozen=True)
class Transfer:
    """What is copied and how. ``body``: of ``POST /1.0/instances`` on the target, without its source."""

    name: str
    body: Mapping[str, Any]
    refresh: bool
    running: bool
    """Whether the source runs meanwhile: files that change under the copy are no error then."""
    snapshots: bool
    way: str
    timeout: float
    bandwidth: int = 0
    """Bytes a second at most, of a relay; 0: no limit."""
    origin: str = ""
    """The path of what is copied, where that is not the instance."""

    def run(self, on: Link) -> None:
        """Copy. Raises OperationFailed with what each way failed of, TimedOut while the copy goes on."""
        ways = [_WAYS[self.way]] if self.way != "auto" else list(_WAYS.values())
        failures: list[str] = []
        for way in ways:
            try:
                return once_more(partial(way, self, on))
            except (OperationFailed, Refused) as error:
                failures.append(error.message)
        raise OperationFailed(f"{self.name}: not copied to {on.target.name}: " + "; ".join(dict.fromkeys(failures)))

    @property
    def path(self) -> str:
        return self.origin or f"instances/{self.name}"

    def asked(self) -> dict[str, Any]:
        """What the source is told. Of a snapshot LXD 5.0 wants a name too, and does not use it
        (instanceSnapshotPost in lxd/instance_snapshot.go)."""
        return {"migration": True, **({"name": self.name} if self.origin else {}), **self.options()}

    def options(self) -> dict[str, Any]:
        """What both ends are told alike. LXD 5.0 takes a missing ``live`` for true."""
        return {"live": False, "instance_only": not self.snapshots, "allow_inconsistent": self.running}


def _pull(self: Transfer, on: Link) -> None:
    """The target fetches from the source."""

    def attempt(url: str) -> None:
        offer = on.source.begin(self.path, self.asked())
        origin = {
            "type": "migration",
            "mode": "pull",
            "operation": f"{url}/1.0/operations/{offer['id']}",
            "certificate": on.source.environment["certificate"],
            "secrets": offer["metadata"],
            "refresh": self.refresh,
            **self.options(),
        }
        taken = on.target.begin("instances", {**self.body, "source": origin})
        _both(on.target, taken, on.source, offer, self.timeout)

    _by_any(attempt, on.source, "pull")


def _push(self: Transfer, on: Link) -> None:
    """The source sends to the target."""

    def attempt(url: str) -> None:
        origin = {"type": "migration", "mode": "push", "refresh": self.refresh, **self.options()}
        offer = on.target.begin("instances", {**self.body, "source": origin})
        goal = {
            "operation": f"{url}/1.0/operations/{offer['id']}",
            "certificate": on.target.environment["certificate"],
            "secrets": offer["metadata"],
        }
        sent = on.source.begin(self.path, {**self.asked(), "target": goal})
        _both(on.source, sent, on.target, offer, self.timeout)

    _by_any(attempt, on.target, "push")


def _relay(self: Transfer, on: Link) -> None:
    """Neither dials the other: this process fetches from the source, and sends to the target."""
    offer = on.source.begin(self.path, self.asked())
    try:
        origin = {"type": "migration", "mode": "push", "refresh": self.refresh, **self.options()}
        taken = on.target.begin("instances", {**self.body, "source": origin})
    except LxdError:
        on.source.cancel(offer)
        raise
    with ExitStack() as stack:

        def end(server: Api, operation: Mapping[str, Any], name: str) -> socket.socket:
            path = f"/1.0/operations/{operation['id']}/websocket?secret={operation['metadata'][name]}"
            return stack.enter_context(closing(opened(server, path)))

        names = sorted(set(offer["metadata"]) & set(taken["metadata"]))
        pairs = [(end(on.source, offer, name), end(on.target, taken, name)) for name in names]
        in_time = carry(pairs, self.timeout, self.bandwidth)
    try:
        on.target.wait(taken, ENDING)
        on.source.wait(offer, ENDING)
    except OperationFailed:
        # Both servers give up when their connections end.
        if in_time:
            raise
    if not in_time:
        raise OperationFailed(f"relay: it did not end within copy_timeout ({self.timeout:g} seconds)")


def _by_any(attempt: Callable[[str], None], reached: Api, way: str) -> None:
    """Try the addresses of the server that the other one must reach."""
    urls, failures = reached.urls(), []
    if not urls:
        raise Refused(
            f"{reached.name} listens on no address, so the other server cannot {way}: set its core.https_address"
        )
    for url in urls:
        try:
            return attempt(url)
        except OperationFailed as error:
            failures.append(f"{way} by {url}: {error.message}")
    raise OperationFailed("; ".join(failures))


def _both(active: Api, work: Mapping[str, Any], passive: Api, offer: Mapping[str, Any], timeout: float) -> None:
    """Wait for the end that dials, then for the one that was dialled, which ends by itself."""
    try:
        active.wait(work, timeout)
    except TimedOut:
        raise
    except LxdError:
        passive.cancel(offer)
        raise
    passive.wait(offer, timeout)


_WAYS: dict[str, Callable[[Transfer, Link], None]] = {"pull": _pull, "push": _push, "relay": _relay}
