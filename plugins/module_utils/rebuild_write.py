# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What the steps of a rebuild write: an instance's config under its journal, its name, its power."""

from __future__ import annotations

from collections.abc import Mapping

from .instance_power import Power
from .instance_write import rewrite
from .migration import START
from .rebuild import (
    Journal,
    held,
    itself,
    journal_of,
    noted,
    other_macs,
    released,
    with_addresses,
    without_addresses,
)
from .steps import Api


def journal_at(on: Api, name: str) -> Journal | None:
    """What a rebuild has noted on the instance of a name, if there is one."""
    data = on.find(f"instances/{name}")
    return None if data is None else journal_of(data["config"])


def note(on: Api, name: str, journal: Journal) -> None:
    """Write the journal. An ephemeral instance would vanish when it stops: it is not while it is rebuilt."""
    rewrite(on, name, lambda config: noted(config, journal), ephemeral=False)


def hold(on: Api, name: str, journal: Journal) -> None:
    """Hold back what would start by itself or resist its removal."""
    rewrite(on, name, lambda config: held(config, journal))


def strip(on: Api, name: str) -> None:
    """Take the addresses off the old root: its journal has them."""
    data = on.get(f"instances/{name}")
    journal = journal_of(data["config"])
    if journal is not None:
        devices = without_addresses(data["devices"], journal)
        rewrite(on, name, lambda config: {**config, **other_macs(name, config)}, devices=devices)


def become(on: Api, name: str, journal: Journal) -> None:
    """Give a root what makes it the instance. A rename gives it another instance-id
    (lxd/instance/drivers/driver_lxc.go Rename)."""
    devices = with_addresses(on.get(f"instances/{name}")["devices"], journal)
    rewrite(on, name, lambda config: noted({**config, **itself(journal)}, journal), devices=devices)


def release(on: Api, name: str) -> None:
    """Take the journal off, and restore what was held back."""
    journal = journal_at(on, name)
    if journal is None:
        return
    begun: Journal = journal

    def letting(config: Mapping[str, str]) -> dict[str, str]:
        return released(config, begun)

    rewrite(on, name, letting, ephemeral=begun.ephemeral)


def rename(on: Api, name: str, new_name: str) -> None:
    """Rename a stopped instance. Its snapshots and backups go along; in a cluster it stays on its member."""
    on.post(f"instances/{name}", {"name": new_name})


def restart(on: Api, name: str) -> None:
    """Bring an instance that was stopped to the power it had."""
    data = on.get(f"instances/{name}")
    journal = journal_of(data["config"])
    if journal is not None and data["status"] == "Stopped":
        for action in START[journal.power]:
            Power(name, action).run(on)
