# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What of our layers the kernel has, and no record knows: it was ours, since nobody else uses these names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .loop import SHARES, detach_loop, leave_share, loops, shares
from .luks import OURS, close_luks, mappings
from .volume_record import Record


@dataclass(frozen=True)
class Leftover:
    """A mapping, a loop device's file, or the directory of a share, which is removed after them."""

    kind: str
    name: str

    @property
    def text(self) -> str:
        return f"{self.kind} {self.name}"


def leftovers(records: Iterable[Record]) -> tuple[Leftover, ...]:
    """What no record is about, in the order that it goes in."""
    known = [record.connection for record in records]
    ours = {connection["encryption"]["mapping"] for connection in known if connection.get("encryption")}
    files = {_name(connection) for connection in known if connection.get("driver_volume_type") == "nfs"}
    exports = {export for export, _file in files}
    mounted = {directory: source.rstrip("/") for directory, source in shares().items()}
    found = [Leftover("mapping", name) for name in mappings(OURS) if name not in ours]
    for file in sorted({file for file in loops().values() if file.startswith(f"{SHARES}/")}):
        directory, _slash, name = file.rpartition("/")
        if (mounted.get(directory, ""), name) not in files:
            found.append(Leftover("loop device of", file))
    found += [Leftover("share", path) for path, source in sorted(mounted.items()) if source not in exports]
    return tuple(found)


def remove(leftover: Leftover) -> None:
    """Take it away. Fails where it is in use."""
    if leftover.kind == "mapping":
        close_luks(leftover.name)
    elif leftover.kind == "share":
        leave_share(leftover.name)
    else:
        detach_loop(leftover.name)


def _name(connection: Any) -> tuple[str, str]:
    return connection["data"].get("export", "").rstrip("/"), connection["data"].get("name", "")
