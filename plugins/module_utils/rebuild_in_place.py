# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A rebuild by the server itself (API extension ``instances_rebuild``): it deletes the root, and unpacks the image in
its place. An image of another server it fetches first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .errors import LxdError, TimedOut
from .instance import Current
from .instance_edit import root_name
from .instance_power import Power
from .instance_record import with_servers_keys
from .instance_write import rewrite
from .rebuild import Journal, Roots, noted
from .rebuild_write import release, restart
from .steps import Api


@dataclass(frozen=True)
class Renew:
    """Stop the instance, have the server rebuild it, start it. One step, since what fails while there is the old root
    must bring it back."""

    result: Current
    journal: Journal
    source: Mapping[str, Any]
    image: str
    stop: tuple[Power, ...] = ()
    snapshots: tuple[str, ...] = ()
    """Those that go with the old root: the server refuses while there are any."""

    @property
    def text(self) -> str:
        words = [step.text for step in self.stop]
        if self.snapshots:
            words.append(f"delete its snapshots {', '.join(self.snapshots)}")
        return ", ".join([*words, f"rebuild {self.result.name} from {self.image}"])

    def effect(self, roots: Roots) -> Roots:
        config = noted(self.result.config, self.journal)
        return replace(roots, instance=replace(self.result, config=config, power="stopped"), snapshots=())

    def run(self, on: Api) -> None:
        name = self.result.name
        try:
            for step in self.stop:
                step.run(on)
            for snapshot in self.snapshots:
                on.delete(f"instances/{name}/snapshots/{snapshot}")
            on.post(f"instances/{name}/rebuild", {"source": self.source})
        except TimedOut:
            raise  # The server is still at it: the next run waits for it, and goes on.
        except LxdError as error:
            self._undo(on, error)
            raise
        rewrite(on, name, lambda config: noted(with_servers_keys(self.result.config, config), self.journal))

    def _undo(self, on: Api, error: LxdError) -> None:
        """Start it again where it still has its root, and say how it is in the error."""
        name = self.result.name
        try:
            if not self._has_root(on):
                error.message += (
                    f". The server had deleted the old root of {name} by then: it is stopped, with all else as it was, "
                    "and the next run of a rebuild gives it a root"
                )
                return
            restart(on, name)
            release(on, name)
        except LxdError as other:
            error.message += f". {name} could not be brought back: {other.message}"
            return
        error.message += f". {name} is as it was"

    def _has_root(self, on: Api) -> bool:
        """Whether the root is there: its volume goes with it, and comes with a whole new one (storage/backend.go
        DeleteInstance, CreateInstanceFromImage)."""
        devices = self.result.expanded_devices
        pool = devices[root_name(devices)]["pool"]
        return on.find(f"storage-pools/{pool}/volumes/{self.result.type}/{self.result.name}") is not None
