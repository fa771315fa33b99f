# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots: what a task does to those of an instance, what a restore loses, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils import snapshot_set
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Refused
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Current
from ansible_collections.lxdops.compute.plugins.module_utils.instance_record import (
    FLEET,
    HOME,
    QUIESCED,
    REBUILD,
    RESTORED,
    SET,
)
from ansible_collections.lxdops.compute.plugins.module_utils.snapshot import (
    Shelf,
    Snapshot,
    Wanted,
    expiry_from,
    moment,
    view,
)
from ansible_collections.lxdops.compute.plugins.module_utils.snapshot_export import read_exported
from ansible_collections.lxdops.compute.plugins.module_utils.snapshot_image import ORIGIN, Image, Published
from ansible_collections.lxdops.compute.plugins.module_utils.snapshot_params import snapshot_spec, wanted_from
from ansible_collections.lxdops.compute.plugins.module_utils.snapshot_plan import losses, plan, report
from ansible_collections.lxdops.compute.plugins.module_utils.snapshot_set import Found, VolumeSet, set_of
from ansible_collections.lxdops.compute.plugins.module_utils.steps import predict
from ansible_collections.lxdops.compute.plugins.module_utils.volume_devices import VOLUME as EXTERNAL
from unit.instances import BOOT, absent, existing, virtual_machine

TAKEN = "2026-11-20T10:00:00.123456789Z"
LATER = "2026-11-21T10:00:00.5Z"
CONFIG = existing().config
DEFAULTS = {option: spec.get("default") for option, spec in snapshot_spec().items()}


def wants(**params: Any) -> Wanted:
    """A task for the snapshot monday of web1."""
    return wanted_from({**DEFAULTS, "name": "web1", "snapshot": "monday", **params})


def one(name: str = "monday", **fields: Any) -> Snapshot:
    config = {**CONFIG, **fields.pop("config", {})}
    return Snapshot(**{"name": name, "created": TAKEN, "config": config, "profiles": ("default",), **fields})


def shelf(*snapshots: Snapshot, instance: Current | None = None, **fields: Any) -> Shelf:
    return Shelf(instance or existing(), {found.name: found for found in snapshots}, **fields)


def restore(**params: Any) -> Wanted:
    return wants(state="restored", **params)


WEEK = "2026-11-27T10:00:00Z"
NEW = one("tuesday", created=LATER)
SENTENCES: list[tuple[Wanted, Shelf, list[str]]] = [
    (wants(), shelf(), ["take snapshot monday of web1"]),
    (wants(), shelf(NEW), ["take snapshot monday of web1"]),
    (wants(), shelf(one()), []),
    (wants(), shelf(instance=existing("suspended")), ["take snapshot monday of web1"]),
    (wants(stateful=True), shelf(), ["take snapshot monday of web1 with its memory"]),
    (wants(stateful=False), shelf(one()), []),
    (wants(expires="7d"), shelf(), ["take snapshot monday of web1, which expires 7d after it was taken"]),
    (wants(expires="never"), shelf(), ["take snapshot monday of web1"]),
    (wants(expires="7d"), shelf(one(expires="2026-11-27T10:00:31Z")), []),
    (wants(expires="7d"), shelf(one()), ["set that web1/monday expires 7d after it was taken"]),
    (wants(expires="1w"), shelf(one(expires=WEEK)), []),
    (wants(expires="8d"), shelf(one(expires=WEEK)), ["set that web1/monday expires 8d after it was taken"]),
    (wants(expires="never"), shelf(one(expires=WEEK)), ["set that web1/monday expires never"]),
    (wants(expires="2097-01-01 11:00:00+01:00"), shelf(one(expires="2097-01-01T10:00:00Z")), []),
    (wants(expires="2097-01-31"), shelf(one(expires=WEEK)), ["set that web1/monday expires at 2097-01-31"]),
    (wants(), shelf(one(expires=WEEK)), []),
    (wants(state="absent"), shelf(one()), ["delete snapshot monday of web1"]),
    (wants(state="absent"), shelf(NEW), []),
    (wants(state="absent"), Shelf(absent()), []),
    (restore(), shelf(one()), ["restore web1 from its snapshot monday"]),
    (restore(), shelf(one(), NEW, driver="btrfs"), ["restore web1 from its snapshot monday"]),
    (
        restore(force=True),
        shelf(one(), NEW, driver="zfs"),
        [
            "delete snapshot tuesday of web1, which is newer than monday",
            "restore web1 from its snapshot monday",
        ],
    ),
    (
        restore(),
        shelf(NEW, one(created="2026-11-22T10:00:00Z"), driver="zfs"),
        ["restore web1 from its snapshot monday"],
    ),
    (
        restore(restore_id="a"),
        shelf(one()),
        ["restore web1 from its snapshot monday", "note on web1 what it was restored from"],
    ),
    (restore(restore_id="a"), shelf(one(), instance=existing(config={RESTORED: "monday a"})), []),
    (
        restore(restore_id="b"),
        shelf(one(config={RESTORED: "monday a"}), instance=existing(config={RESTORED: "monday a"})),
        ["restore web1 from its snapshot monday", "note on web1 what it was restored from"],
    ),
    (
        restore(),
        shelf(one(), instance=existing("frozen")),
        ["restore web1 from its snapshot monday", "freeze web1"],
    ),
    (
        restore(stateful=True),
        shelf(one(stateful=True), instance=existing("stopped")),
        ["restore web1 from its snapshot monday with its memory"],
    ),
]


@pytest.mark.parametrize(("wanted", "found", "sentences"), SENTENCES)
def test_what_is_done(wanted: Wanted, found: Shelf, sentences: list[str]) -> None:
    assert [step.text for step in plan(wanted, found)] == sentences


VOLUME = {"type": "disk", "pool": "fast", "source": "data", "path": "/srv"}
WITH = existing(devices={"data": VOLUME})
SET_OF = VolumeSet("abc", "monday", ("fast/data",))
IN_SET = one(volumes=SET_OF, config={SET: SET_OF.mark})
BEGUN = existing(devices={"data": VOLUME}, config={SET: SET_OF.mark})
TAKE = "take snapshot monday of web1, with those of the volumes fast/data"
ROOT = ["restore web1 from its snapshot monday", "note on web1 what it was restored from"]
BACK = "take off the note that web1 is restored"
SETS: list[tuple[Wanted, Shelf, list[str]]] = [
    (wants(volumes=True), shelf(instance=WITH), [f"{TAKE}, frozen"]),
    (wants(volumes=True), shelf(instance=replace(WITH, power="stopped")), [TAKE]),
    (wants(volumes=True), shelf(instance=replace(WITH, power="frozen")), [TAKE]),
    (wants(volumes=True), shelf(), ["take snapshot monday of web1, frozen"]),
    (wants(volumes=True), shelf(IN_SET, instance=WITH), []),
    (wants(), shelf(IN_SET, instance=WITH), []),
    (
        wants(volumes=True),
        shelf(instance=BEGUN),
        ["delete what there is of a set of snapshots that was begun of web1", f"{TAKE}, frozen"],
    ),
    (
        wants(volumes=True),
        shelf(IN_SET, instance=BEGUN),
        ["take the notes of a set of snapshots that was begun of web1"],
    ),
    (
        wants(state="absent"),
        shelf(IN_SET, instance=WITH),
        ["delete snapshot monday of web1, with those of the volumes fast/data"],
    ),
    (
        restore(),
        shelf(IN_SET, instance=WITH),
        [
            "note that web1 is restored, and is running then",
            "kill web1",
            "restore the volumes fast/data from monday.abc",
            *ROOT,
            "start web1",
            BACK,
        ],
    ),
    (
        restore(),
        shelf(IN_SET, instance=replace(WITH, power="stopped"), found=Found(then="frozen")),
        ["restore the volumes fast/data from monday.abc", *ROOT, "start web1", "freeze web1", BACK],
    ),
    (
        restore(restore_id="a"),
        shelf(
            IN_SET,
            instance=replace(existing(config={RESTORED: "monday a"}), power="stopped"),
            found=Found(then="running"),
        ),
        ["start web1", BACK],
    ),
    (restore(volumes=False), shelf(IN_SET, instance=WITH), ROOT),
]


@pytest.mark.parametrize(("wanted", "found", "sentences"), SETS)
def test_what_is_done_with_volumes(wanted: Wanted, found: Shelf, sentences: list[str]) -> None:
    steps = plan(wanted, found)
    assert [step.text for step in steps] == sentences
    after = predict(found, steps)
    power = found.found.then or found.instance.power
    assert (after.instance.power, after.found.then, SET in after.instance.config) == (power, "", False)
    if wanted.state != "restored" or wanted.restore_id:
        assert plan(wanted, after) == []


def test_a_set_is_known_by_its_mark() -> None:
    assert set_of({SET: SET_OF.mark}) == SET_OF
    assert set_of({}) is None
    assert SET_OF.paths == {"fast/data": "storage-pools/fast/volumes/custom/data/snapshots/monday.abc"}
    assert snapshot_set.external({"v1": {EXTERNAL: "x"}, "eth0": {}}) == ("v1, of an external storage",)


QUIET: dict[str, Any] = {"freeze": True, "before": None, "after": None, "timeout": 30}
COMMANDS = {**QUIET, "before": "lock", "after": "unlock"}
MARKED = {QUIESCED: f"{BOOT} 1"}
QUIETLY: list[tuple[Wanted, Shelf, list[str]]] = [
    (wants(quiesce=QUIET), shelf(), ["take snapshot monday of web1, frozen"]),
    (wants(quiesce=COMMANDS), shelf(), ["take snapshot monday of web1, frozen between commands"]),
    (
        wants(quiesce={**COMMANDS, "freeze": False}),
        shelf(instance=virtual_machine()),
        ["take snapshot monday of web1, between commands"],
    ),
    (
        wants(quiesce=COMMANDS),
        shelf(instance=virtual_machine()),
        ["take snapshot monday of web1, its file systems frozen between commands"],
    ),
    (wants(quiesce=COMMANDS), shelf(one()), []),
    (wants(quiesce=COMMANDS), shelf(instance=existing("stopped")), ["take snapshot monday of web1"]),
    (wants(quiesce=QUIET), shelf(instance=existing("frozen")), ["take snapshot monday of web1"]),
    (
        wants(quiesce=QUIET),
        shelf(instance=existing("frozen", config=MARKED)),
        ["end what left web1 quiesced", "take snapshot monday of web1, frozen"],
    ),
    (wants(), shelf(one(), instance=existing(config=MARKED)), ["end what left web1 quiesced"]),
    (wants(state="absent"), shelf(instance=existing(config=MARKED)), ["end what left web1 quiesced"]),
]


@pytest.mark.parametrize(("wanted", "found", "sentences"), QUIETLY)
def test_what_is_done_quietly(wanted: Wanted, found: Shelf, sentences: list[str]) -> None:
    steps = plan(wanted, found)
    assert [step.text for step in steps] == sentences
    after = predict(found, steps)
    assert plan(wanted, after) == []
    marked = QUIESCED in found.instance.config
    assert after.instance.power == ("running" if marked else found.instance.power)


KEEP = {"count": 2, "pattern": "?*day"}
DAYS = [one(name, created=f"2026-11-{day}T10:00:00Z") for day, name in enumerate(("friday", "saturday", "sunday"), 11)]


@pytest.mark.parametrize(
    ("found", "gone"),
    [
        ([], []),
        (DAYS[:1], []),
        (DAYS, ["friday", "saturday"]),
        ([*DAYS, one("other", created="2026-11-01T10:00:00Z")], ["friday", "saturday"]),
        ([*DAYS, one(created="2026-11-01T10:00:00Z")], ["friday"]),
        ([*DAYS, one(created="2026-11-30T10:00:00Z")], ["friday", "saturday"]),
    ],
)
def test_which_are_kept(found: list[Snapshot], gone: list[str]) -> None:
    wanted = wants(keep=KEEP)
    steps = plan(wanted, shelf(*found))
    after = predict(shelf(*found), steps)
    assert sorted({"monday", *(day.name for day in found)} - set(after.snapshots)) == gone
    assert plan(wanted, after) == []


ALIAS = {"alias": "web", "properties": {"os": "tiny"}}
IMAGE = Image("f" * 64, {ORIGIN: "x", "os": "tiny", "more": "y"})
PUBLISHED: list[tuple[dict[str, Any], Shelf, list[str]]] = [
    (ALIAS, shelf(one()), ["publish web1/monday as an image", "let web name the image of web1/monday"]),
    ({"public": True}, shelf(one()), ["publish web1/monday as a public image"]),
    (ALIAS, shelf(one(), published=Published(IMAGE)), ["let web name the image of web1/monday"]),
    (ALIAS, shelf(one(), published=Published(IMAGE, named=True)), []),
    ({}, shelf(one(), published=Published(IMAGE)), []),
    (
        {"properties": {"os": None}, "public": True},
        shelf(one(), published=Published(IMAGE)),
        ["change the image ffffffffffff"],
    ),
    (
        ALIAS,
        shelf(published=Published(other="e" * 64, other_is_ours=True)),
        [
            "take snapshot monday of web1",
            "publish web1/monday as an image",
            "let web name the image of web1/monday instead of eeeeeeeeeeee",
        ],
    ),
]


@pytest.mark.parametrize(("publish", "found", "sentences"), PUBLISHED)
def test_what_is_published(publish: dict[str, Any], found: Shelf, sentences: list[str]) -> None:
    wanted = wants(publish=publish)
    steps = plan(wanted, found)
    assert [step.text for step in steps] == sentences
    assert plan(wanted, predict(found, steps)) == []


def test_what_is_exported(tmp_path: Path) -> None:
    file = tmp_path / "web1.tar"
    wanted = wants(export={"file": str(file), "compression": None, "optimized": False})

    def found(*snapshots: Snapshot) -> Shelf:
        taken = shelf(*snapshots)
        return replace(taken, exported=read_exported(wanted, taken.snapshots.get("monday")))

    export = f"export web1 with its snapshots, monday among them, to {file}"
    assert [step.text for step in plan(wanted, found())] == ["take snapshot monday of web1", export]
    steps = plan(wanted, found(one()))
    assert [step.text for step in steps] == [export]
    assert plan(wanted, predict(found(one()), steps)) == []

    file.write_text("12345")
    with pytest.raises(Refused, match=f"{file} is there, and was not made by this module"):
        plan(wanted, found(one()))
    beside = file.with_name("web1.tar.sha256")
    beside.write_text(f"# web1/monday {TAKEN} 5\n{'a' * 64}  web1.tar\n")
    assert found(one()).exported.sha256 == "a" * 64
    assert plan(wanted, found(one())) == []
    assert plan(wanted, found(one(created=LATER))) != []
    file.write_text("123456")
    assert plan(wanted, found(one())) != []
    nowhere = wants(export={"file": "/nowhere/at/all", "compression": None, "optimized": False})
    seen = replace(shelf(one()), exported=read_exported(nowhere, one()))
    with pytest.raises(Refused, match="/nowhere/at is no directory that we may write to"):
        plan(nowhere, seen)


def test_a_mark_of_another_boot_thaws_nothing() -> None:
    frozen = shelf(one(), instance=existing("frozen", config={QUIESCED: "2001-01-01 1"}))
    after = predict(frozen, plan(wants(), frozen))
    assert (after.instance.power, QUIESCED in after.instance.config) == ("frozen", False)


REFUSED = [
    (
        wants(publish=ALIAS),
        shelf(published=Published(other="e" * 64)),
        "web names the image eeeeeeeeeeee, which was not made",
    ),
    (wants(quiesce=COMMANDS), shelf(instance=existing("frozen")), "found web1 frozen, and no command runs in it"),
    (wants(quiesce=QUIET, stateful=True), shelf(), "quiesce: found stateful: true"),
    (wants(), Shelf(absent()), "there is no such instance"),
    (wants(), shelf(instance=existing("error")), "found web1 in the state error, allowed are running"),
    (wants(), shelf(instance=existing(config={REBUILD: "x"})), "a rebuild of web1 is under way: end that one first"),
    (wants(stateful=True), shelf(instance=existing("stopped")), "found web1 stopped, and only a running one has"),
    (wants(stateful=True), shelf(instance=virtual_machine()), "migration.stateful: true"),
    (wants(stateful=True), shelf(one()), "found a snapshot that has not the memory of its instance"),
    (wants(stateful=False), shelf(one(stateful=True)), "found a snapshot that has the memory of its instance"),
    (restore(), shelf(NEW), "there is no such snapshot; it has tuesday"),
    (restore(stateful=True), shelf(one()), "the snapshot has no memory of its instance"),
    (restore(), shelf(one(), instance=existing("suspended")), "found suspended, allowed are running, frozen and stop"),
    (wants(volumes=True), shelf(one()), "volumes: found a snapshot of the instance without its volumes"),
    (wants(volumes=False), shelf(IN_SET), "volumes: found a snapshot of the instance with its volumes"),
    (wants(volumes=True, stateful=True), shelf(instance=WITH), "volumes: found stateful: true"),
    (
        wants(volumes=True, quiesce={**COMMANDS, "freeze": False}),
        shelf(instance=WITH),
        "a running container is frozen meanwhile",
    ),
    (
        restore(),
        shelf(IN_SET, instance=WITH, found=Found(missing=("fast/data",))),
        "no longer whole, gone are fast/data/monday.abc",
    ),
    (restore(), shelf(IN_SET, instance=WITH, found=Found(problems=("in use",))), "in use. volumes: false restores"),
    (wants(state="absent"), shelf(IN_SET, found=Found(then="running")), "begun, and not ended: run that task again"),
    (
        restore(),
        shelf(one(), instance=replace(existing(), ephemeral=True)),
        "web1 is ephemeral and runs",
    ),
    (restore(), shelf(one(), lost_profiles=("big",)), "profiles that the server no longer has: big"),
    (restore(), shelf(one(), NEW, driver="zfs"), "newest snapshot only, and these are newer: tuesday. force: true"),
]


@pytest.mark.parametrize(("wanted", "found", "words"), REFUSED)
def test_what_is_refused(wanted: Wanted, found: Shelf, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan(wanted, found)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"snapshot": "a/b"}, "snapshot: found 'a/b', allowed are 1 to 63 letters"),
        ({"snapshot": "-a"}, "snapshot: found '-a'"),
        ({"expires": "soon"}, "expires: found 'soon', allowed are never, a time since it was taken like 12h"),
        ({"expires": "2026-01-31"}, "expires: found 2026-01-31, which is over"),
        ({"expires": "0d"}, "expires: found '0d'"),
        ({"expires": "7d", "state": "absent"}, "expires is for state: present, found state: absent"),
        ({"quiesce": QUIET, "state": "restored"}, "quiesce is for state: present"),
        ({"quiesce": {**QUIET, "freeze": False}}, "found freeze: false and no command: say before, after, or both"),
        ({"quiesce": {**QUIET, "timeout": 0}}, "quiesce.timeout: found 0, allowed are 1 to 600 seconds"),
        ({"keep": {**KEEP, "count": 0}}, "keep.count: found 0, allowed are 1 and more"),
        ({"keep": {**KEEP, "pattern": "n*"}}, "keep.pattern: found n\\*, which the snapshot's own name does not match"),
        ({"publish": {"properties": {ORIGIN: "x"}}}, "lxdops.snapshot is what this module knows the image by"),
        (
            {"export": {"file": "web1.tar", "optimized": False}},
            "export.file: found web1.tar, allowed is an absolute path",
        ),
        ({"restore_id": "a"}, "restore_id is for state: restored"),
        ({"restore_id": "a b", "state": "restored"}, "restore_id: found 'a b'"),
        ({"force": True}, "force is for state: restored"),
    ],
)
def test_what_is_wrong_in_itself(params: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        wants(**params)


def test_when_a_snapshot_expires() -> None:
    taken = moment(TAKEN)
    assert taken == datetime(2026, 11, 20, 10, tzinfo=UTC)
    written = {text: expiry_from("x", text).written(taken) for text in ("90s", "2h", "7d", "never", "2097-01-31")}
    assert written == {
        "90s": "2026-11-20T10:01:30Z",
        "2h": "2026-11-20T12:00:00Z",
        "7d": WEEK,
        "never": "0001-01-01T00:00:00Z",
        "2097-01-31": "2097-01-31T00:00:00Z",
    }


def test_what_a_restore_loses_is_told() -> None:
    now = existing(config={"limits.cpu": "2"}, devices={"d": {"type": "none"}}, profiles=("default", "big"))
    assert losses(restore(force=True), shelf(one(), NEW, instance=now, driver="zfs")) == [
        f"what was written to the root since {TAKEN}",
        "config as it is now: limits.cpu",
        "devices as they are now: d",
        "profiles as they are now: default, big",
        "newer snapshots: tuesday",
        "what runs: the guest is killed, and started again",
    ]
    assert losses(restore(), shelf(one(), instance=existing("stopped"))) == [
        f"what was written to the root since {TAKEN}"
    ]


def test_volumes_that_a_snapshot_does_not_hold_are_told() -> None:
    volume = {"type": "disk", "pool": "fast", "source": "data", "path": "/srv"}
    directory = {"type": "disk", "source": "/srv", "path": "/mnt"}
    current = existing(devices={"data": volume, "mnt": directory})
    assert report(wants(), shelf(instance=current))["left_out"] == ["fast/data"]
    assert report(wants(), Shelf(absent()))["left_out"] == []


def test_a_restore_keeps_what_became_of_the_instance_since() -> None:
    now = existing(config={FLEET: "web", "user.mine": "new"})
    then = one(config={HOME: "old", FLEET: "other", RESTORED: "sunday a", "user.mine": "old"})
    after = predict(shelf(then, instance=now), plan(restore(), shelf(then, instance=now)))
    assert after.instance.config == {**CONFIG, FLEET: "web", "user.mine": "old"}


def test_a_plan_carried_out_leaves_nothing_to_do() -> None:
    tasks = [
        *(wants(state=state) for state in ("present", "absent")),
        *(wants(expires=expires) for expires in ("7d", "never", "2097-01-31")),
        *(wants(stateful=stateful) for stateful in (True, False)),
        *(restore(restore_id="a", force=force) for force in (True, False)),
    ]
    found = [(), (one(),), (one(expires=WEEK),), (one(), NEW), (one(stateful=True),)]
    planned = 0
    for wanted, taken, power, driver in product(tasks, found, ("running", "stopped", "frozen"), ("zfs", "dir")):
        before = shelf(*taken, instance=existing(power), driver=driver)
        try:
            steps = plan(wanted, before)
        except Refused:
            continue
        planned += 1
        after = predict(before, steps)
        assert plan(wanted, after) == [], (wanted, before)
        assert after.instance.power == power
        others = {name: snapshot for name, snapshot in before.snapshots.items() if name != "monday"}
        if not (driver == "zfs" and wanted.state == "restored"):
            assert {name: after.snapshots.get(name) for name in others} == others
        assert bool(steps) or view(wanted, after) == view(wanted, before)
    assert planned > 150
