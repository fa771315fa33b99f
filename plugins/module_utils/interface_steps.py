# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps that change a NIC of an instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .errors import LxdError, NotFound, OperationFailed
from .instance import Current
from .instance_steps import NEXT_BOOT, Power, Update, insist, writable
from .steps import Api


@dataclass(frozen=True)
class Plug:
    """Write the devices of an instance, guarded by its ETag; ``text`` says what that does to the one NIC."""

    text: str
    update: Update

    def effect(self, current: Current) -> Current:
        return self.update.effect(current)

    def run(self, on: Api) -> None:
        self.update.run(on)


@dataclass(frozen=True)
class PlugCold:
    """Stop an instance, write one device, start it. One step, since a NIC that the server does not take, or that the
    instance does not start with, must not leave it stopped: then it is started as it was."""

    text: str
    device: str
    after: Current
    before: Mapping[str, str] | None
    """The local device as it was."""
    stop: tuple[Power, ...]
    start: tuple[Power, ...]

    def effect(self, current: Current) -> Current:
        return replace(self.after, power=current.power, boot=NEXT_BOOT)

    def run(self, on: Api) -> None:
        for power in self.stop:
            power.run(on)
        try:
            self._write(on, self.after.devices.get(self.device))
            self._start(on)
        except LxdError as error:
            self._write(on, self.before)
            self._start(on)
            raise OperationFailed(
                f"{self.after.name} on {on.name}: it does not start with the change of {self.device}, and runs again "
                f"without it. The server says: {error.message}",
                **error.details,
            ) from None

    def _write(self, on: Api, device: Mapping[str, str] | None) -> None:
        def write() -> None:
            found = on.find_tagged(f"instances/{self.after.name}")
            if found is None:
                raise NotFound(f"{self.after.name} is no longer on {on.name}")
            data, etag = found
            devices = {name: options for name, options in data["devices"].items() if name != self.device}
            if device is not None:
                devices[self.device] = dict(device)
            on.put(f"instances/{self.after.name}", {**writable(data), "devices": devices}, etag)

        insist(write)

    def _start(self, on: Api) -> None:
        for power in self.start:
            power.run(on)
