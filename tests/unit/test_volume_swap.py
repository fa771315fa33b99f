# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume takes the place of another: what is done, from whatever a run that was cut short left, and what is refused;
and the copy itself, on files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils import block_copy
from ansible_collections.lxdops.compute.plugins.module_utils.block import Disk
from ansible_collections.lxdops.compute.plugins.module_utils.errors import OperationFailed, Refused, TimedOut
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Current
from ansible_collections.lxdops.compute.plugins.module_utils.steps import predict
from ansible_collections.lxdops.compute.plugins.module_utils.volume import (
    Attachment,
    User,
    Volume,
    device_of,
    own_device,
    placeholder,
    view,
)
from ansible_collections.lxdops.compute.plugins.module_utils.volume_plan import plan
from ansible_collections.lxdops.compute.plugins.module_utils.volume_record import Record
from unit.instances import existing, virtual_machine
from unit.test_volume import FILESYSTEM, HERE, KEPT, task

OLD, NEW = Volume("", "old").device, Volume("", "new").device
OLD_RECORD = Record("old", OLD, HERE, KEPT, {"path": "/dev/sda"}, "/dev/sda")
NEW_RECORD = Record("new", NEW, HERE, KEPT, {"path": "/dev/sdb"}, "/dev/sdb")
SMALL, LARGE = Disk("/dev/sda", "8:0", 1 << 30), Disk("/dev/sdb", "8:16", 2 << 30)
USERS = (User("default", "web1", OLD),)
OTHER = User("default", "web2", OLD)


def wanted(**params: Any) -> Volume:
    return task(volume="new", replaces="old", **params)


def swap(
    instance: Current | None = None, has: str = "old", old: dict[str, Any] | None = None, **parts: Any
) -> Attachment:
    """web1, which has the old volume, or the new one; ``old``: what differs of the old one; ``parts``: of the new."""
    current = existing() if instance is None else instance
    mode = parts.pop("mode", {})
    devices = {
        "old": {
            OLD: device_of(
                task(volume="old", path="/dev/x", **mode) if not mode else task(volume="old", **mode),
                current.type,
                "/dev/sda",
            )
        }
        if current.type == "container"
        else {OLD: device_of(task(volume="old"), current.type, "/dev/sda")},
        "new": {NEW: device_of(task(volume="new", path="/dev/x"), current.type, "/dev/sdb")},
        "neither": {OLD: placeholder("old")},
        "nothing": {},
    }[has]
    current = replace(current, devices={**current.devices, **devices}, expanded_devices=devices)
    users = USERS if has in ("old", "neither") else ()
    before = {"record": OLD_RECORD, "disk": SMALL, "users": users, **(old or {})}
    mine = (User("default", "web1", NEW),) if has == "new" else ()
    return Attachment(current, server=HERE, replaced=Attachment(current, server=HERE, **before), users=mine, **parts)


JOURNAL = {"volume": "old", "device": device_of(task(volume="old", path="/dev/x"), "container", "/dev/sda"), "run": "1"}
BEGUN: dict[str, Any] = {"record": replace(NEW_RECORD, replaces={**JOURNAL, "froze": False}), "disk": LARGE}
FROZE: dict[str, Any] = {"record": replace(NEW_RECORD, replaces={**JOURNAL, "froze": True}), "disk": LARGE}
TAKEN: dict[str, Any] = {"taken": {**JOURNAL, "froze": True, "new": "new"}}
COPY = "copy volume old of web1 to new, which takes its place, frozen for at most 60 seconds"
STILL = "copy volume old of web1 to new, which takes its place"
GONE = "disconnect volume old"
BACK = "give web1 back volume old, of which a copy was cut short"
END = "end the copy to volume new, which has its place in web1"
SENTENCES: list[tuple[Attachment, list[str]]] = [
    (swap(), [COPY, GONE]),
    (swap(existing("stopped")), [STILL, GONE]),
    (swap(existing("frozen")), [STILL, GONE]),
    (swap(virtual_machine("stopped")), [STILL, GONE]),
    # What runs that were killed leave.
    (swap(record=replace(NEW_RECORD, path="")), [COPY, GONE]),
    (swap(**BEGUN), [COPY, GONE]),
    (swap(existing("frozen"), has="neither", old=TAKEN, **FROZE), [BACK, COPY, GONE]),
    (swap(has="neither", old=TAKEN, **FROZE), [BACK, COPY, GONE]),
    (swap(existing("frozen"), has="new", **FROZE), [END, GONE]),
    (swap(has="new", **FROZE), [END, GONE]),
    (swap(has="new", record=NEW_RECORD, disk=LARGE), [GONE]),
    (swap(has="new", record=NEW_RECORD, disk=LARGE, old={"record": None, "disk": None}), []),
    # The old one has gone to another instance meanwhile.
    (swap(has="new", record=NEW_RECORD, disk=LARGE, old={"users": (OTHER,)}), []),
]


@pytest.mark.parametrize(("current", "sentences"), SENTENCES)
def test_what_is_done(current: Attachment, sentences: list[str]) -> None:
    steps = plan(wanted(), current)
    assert [step.text for step in steps] == sentences
    after = predict(current, steps)
    assert plan(wanted(), after) == []
    assert view(wanted(), after)["state"] == "attached"
    _name, device = own_device(wanted(), after) or ("", {})
    assert device.get("path", "/dev/x") == "/dev/x", "the guest finds it elsewhere"
    assert own_device(task(volume="old"), after) is None
    assert after.instance.power == ("running" if END in sentences or BACK in sentences else current.instance.power)


REFUSED: list[tuple[Attachment, str]] = [
    (swap(has="nothing"), "replaces: web1 does not have old, and has not new either"),
    (swap(virtual_machine()), "a virtual machine that runs cannot be mirrored .*; found running, allowed is stopped"),
    (swap(existing("suspended")), "it is suspended"),
    (swap(old={"users": (*USERS, OTHER)}), "replaces: old is attached to web2 too"),
    (swap(old={"busy": ("process 7 (postgres) uses it",)}), "replaces: old is in use, and stays: process 7"),
    (swap(old={"disk": None}), "old is attached as .*, and not connected"),
    (swap(record=NEW_RECORD, disk=replace(LARGE, size=1)), "replaces: found 1 bytes, and old has 1073741824"),
    (swap(mode=FILESYSTEM), "mode: old is attached as filesystem, and so is its successor"),
    (
        swap(record=replace(NEW_RECORD, replaces={**JOURNAL, "volume": "else", "froze": False})),
        "a copy of else to it was cut short",
    ),
]


@pytest.mark.parametrize(("current", "words"), REFUSED)
def test_what_is_refused(current: Attachment, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan(wanted(), current)


def test_what_has_both_is_refused() -> None:
    current = swap()
    devices = {**current.instance.devices, NEW: device_of(task(volume="new", path="/dev/y"), "container", "/dev/sdb")}
    both = replace(current, instance=replace(current.instance, devices=devices), record=NEW_RECORD, disk=LARGE)
    with pytest.raises(Refused, match="web1 has both, new and old"):
        plan(wanted(), both)


def test_a_half_made_copy_is_not_attached_as_it_is() -> None:
    with pytest.raises(Refused, match="a copy of old to it was cut short: say replaces to end it"):
        plan(task(volume="new", path="/dev/z"), replace(swap(**BEGUN), replaced=None))


def test_the_old_volume_can_be_wanted_back() -> None:
    current = swap(existing("frozen"), has="neither", old=TAKEN).replaced
    assert current
    steps = plan(task(volume="old", path="/dev/x"), current)
    assert [step.text for step in steps] == [BACK]
    assert plan(task(volume="old", path="/dev/x"), predict(current, steps)) == []


MIB = block_copy.CHUNK


@pytest.fixture
def disks(tmp_path: Path) -> Callable[[int, int], tuple[Path, Path]]:
    """Two files that stand for devices: noise, and zeros."""

    def make(size: int, room: int) -> tuple[Path, Path]:
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(os.urandom(size))
        target.write_bytes(bytes(room))
        return source, target

    return make


@pytest.mark.parametrize("size", [4096, MIB - 4096, MIB, 3 * MIB, 5 * MIB + 8192])
@pytest.mark.parametrize("more", [0, 4096, 2 * MIB])
def test_a_copy_is_whole_after_its_last_pass(
    disks: Callable[[int, int], tuple[Path, Path]], size: int, more: int
) -> None:
    source, target = disks(size, size + more)
    copy = block_copy.Copy(str(source), str(target))
    copy.first(print)
    early = target.read_bytes()
    assert not early[:MIB].strip(b"\0"), "a filesystem would be seen before it is whole"
    assert not early[-MIB:].strip(b"\0")
    with source.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"later")
    copy.last(print)
    assert target.read_bytes() == source.read_bytes() + bytes(more)
    copy.forget()
    assert not target.read_bytes()[:MIB].strip(b"\0")
    assert not target.read_bytes()[-MIB:].strip(b"\0")


def test_zeros_are_written_where_there_is_something(disks: Callable[[int, int], tuple[Path, Path]]) -> None:
    source, target = disks(4 * MIB, 4 * MIB)
    source.write_bytes(bytes(4 * MIB))
    target.write_bytes(bytes(2 * MIB) + b"x" * MIB + bytes(MIB))
    copy = block_copy.Copy(str(source), str(target))
    copy.first(print)
    copy.last(print)
    assert target.read_bytes() == bytes(4 * MIB)


def test_a_copy_ends_when_its_time_is_over(disks: Callable[[int, int], tuple[Path, Path]]) -> None:
    source, target = disks(4 * MIB, 4 * MIB)

    def over(_start: int) -> None:
        raise TimedOut("over")

    copy = block_copy.Copy(str(source), str(target))
    copy.first(print)
    with pytest.raises(TimedOut):
        copy.last(over)
    assert not target.read_bytes()[:MIB].strip(b"\0")


def test_a_copy_to_less_room_is_not_begun(disks: Callable[[int, int], tuple[Path, Path]]) -> None:
    source, target = disks(2 * MIB, MIB)
    with pytest.raises(OperationFailed, match=f"has {MIB} bytes, and .* {2 * MIB}: it must not be smaller"):
        block_copy.Copy(str(source), str(target)).first(print)
    with pytest.raises(OperationFailed, match=f"cannot open {target}nope"):
        block_copy.Copy(str(source), f"{target}nope").first(print)
