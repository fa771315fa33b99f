# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps by which a volume takes the place of another one, and the ends of what was cut short. Pure."""

from __future__ import annotations

from dataclasses import replace

from .errors import Refused
from .steps import Step
from .volume import Attachment, Host, Volume, here, others, own_device, placeholder
from .volume_steps import Attach
from .volume_swap import Swap, in_use
from .volume_swap_end import EndSwap, GiveBack, Retire

Steps = list[Step[Attachment, Host]]


def given_back(wanted: Volume, current: Attachment) -> Steps:
    """Where a run that was cut short had taken the volume out of the instance, it comes back."""
    own = own_device(wanted, current)
    if not current.taken or own is None or own[1] != placeholder(wanted.id):
        return []
    journal = current.taken
    return [GiveBack(wanted.instance, journal["new"], wanted.id, journal["device"], journal["froze"])]


def ended(wanted: Volume, current: Attachment) -> Steps:
    """What is left to do of a swap once the volume is in its place."""
    steps: Steps = []
    journal = current.record.replaces if current.record else {}
    if journal:
        steps.append(EndSwap(wanted, journal["froze"]))
    old = current.replaced
    if old and old.record and old.record.server == current.server and not here(old.users, current.member):
        steps.append(Retire(old.record, wanted.force))
    return steps


def swapped(where: str, wanted: Volume, current: Attachment, attach: Attach) -> Steps:
    """The steps where the volume is not in its place yet. ``attach``: how it would be attached."""
    old = current.replaced
    found = own_device(Volume("", wanted.replaces), current)
    if old is None or found is None:
        raise Refused(
            f"{where}: replaces: {wanted.instance} does not have {wanted.replaces}, and has not {wanted.id} either; "
            "without replaces it is attached as it is",
            option="replaces",
        )
    before = given_back(replace(wanted, id=wanted.replaces), old)
    for step in before:
        current = step.effect(current)
        old = step.effect(old)
    name, device = own_device(Volume("", wanted.replaces), current) or found
    _check_sides(where, wanted, current, old, device.get("type", ""))
    if old.record is None or old.disk is None:
        raise Refused(
            f"{where}: replaces: {wanted.replaces} is attached as {name}, and not connected, so it cannot be copied: "
            "attach it again first",
            option="replaces",
        )
    freezes = current.instance.power == "running"
    swap = Swap(attach, old.record, device, freezes, wanted.swap_pause)
    return [*before, swap, Retire(old.record, wanted.force)]


def _check_sides(where: str, wanted: Volume, current: Attachment, old: Attachment, kind: str) -> None:
    if current.instance.type != "container" and current.instance.active:
        raise Refused(
            f"{where}: replaces: the disk of a virtual machine that runs cannot be mirrored by this server; found "
            f"{current.instance.power}, allowed is stopped",
            option="replaces",
            found=current.instance.power,
        )
    for volume, users in ((wanted.replaces, others(old)), (wanted.id, others(current))):
        if users:
            raise Refused(
                f"{where}: replaces: {volume} is attached to {', '.join(user.text for user in users)} too, which would "
                "not have what is written meanwhile: detach it there first",
                option="replaces",
                found=[user.text for user in users],
            )
    journal = current.record.replaces if current.record else {}
    if journal and journal["volume"] != wanted.replaces:
        raise Refused(
            f"{where}: replaces: a copy of {journal['volume']} to it was cut short; replace that, or say state: "
            "detached first",
            option="replaces",
            found=journal["volume"],
        )
    mode = "filesystem" if kind == "disk" and current.instance.type == "container" else "block"
    if mode != wanted.mode:
        raise Refused(f"{where}: mode: {wanted.replaces} is attached as {mode}, and so is its successor", option="mode")
    if old.busy:
        raise Refused(f"{where}: replaces: {in_use(wanted.replaces, old.busy)}", option="replaces", found=[*old.busy])
    if old.disk and current.disk and current.disk.size < old.disk.size:
        raise Refused(
            f"{where}: replaces: found {current.disk.size} bytes, and {wanted.replaces} has {old.disk.size}: it must "
            "not be smaller",
            option="replaces",
            found=current.disk.size,
        )
