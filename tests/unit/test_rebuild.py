# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rebuilds: from whatever an earlier run has left, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Refused
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Current, Desired, Origin, Server, Source
from ansible_collections.lxdops.compute.plugins.module_utils.instance_record import (
    CREATING,
    FLEET,
    REBUILD,
    REBUILT,
    SOURCE,
)
from ansible_collections.lxdops.compute.plugins.module_utils.rebuild import (
    Rebuild,
    Roots,
    beside,
    held,
    is_made,
    journal_for,
    journal_of,
    noted,
    released,
    view_roots,
)
from ansible_collections.lxdops.compute.plugins.module_utils.rebuild_in_place import Renew
from ansible_collections.lxdops.compute.plugins.module_utils.rebuild_params import rebuild_from
from ansible_collections.lxdops.compute.plugins.module_utils.rebuild_plan import plan, report
from ansible_collections.lxdops.compute.plugins.module_utils.rebuild_steps import (
    BringBack,
    Drop,
    Make,
    Retire,
    Switch,
)
from ansible_collections.lxdops.compute.plugins.module_utils.steps import predict
from unit.instances import MARKED, TINY, existing

HOST = Server(name="host1")
SOURCE_NEW = Source(type="image", alias="debian/12")
ORIGIN = Origin(type="container", fingerprint="e" * 64, architecture="x86_64")
SUCCESSOR, ASIDE, KEPT = beside("web1", "rebuild"), beside("web1", "replaced"), "web1-before-rebuild"
NEVER = "1970-01-01T00:00:00Z"
POWERS = ("running", "frozen", "stopped")


def wanted(snapshots: str = "refuse", source: Source = SOURCE_NEW, **fields: Any) -> Rebuild:
    """A task for web1."""
    config = fields.pop("config", {})
    aside = KEPT if snapshots == "keep" else ASIDE
    return Rebuild(Desired("web1", source=source, config=config), **{"snapshots": snapshots, "aside": aside, **fields})


def nobody(name: str) -> Current:
    return Current(name=name, server=HOST)


def found(rebuild: Rebuild, power: str = "running", server_rebuilds: bool = False, **fields: Any) -> Roots:
    """An instance that nothing was begun with."""
    roots: dict[str, Any] = {
        key: fields.pop(key) for key in ("origin", "snapshots", "backups", "predecessor") if key in fields
    }
    instance = existing(power, **{"server": HOST, "architecture": "x86_64", "location": "none", **fields})
    beside_it: dict[str, Any] = {
        "successor": nobody(SUCCESSOR),
        "predecessor": nobody(rebuild.aside),
        "origin": ORIGIN,
        **roots,
    }
    return Roots(instance, server_rebuilds=server_rebuilds, **beside_it)


def left(rebuild: Rebuild, roots: Roots) -> Iterator[Roots]:
    """What a run leaves that is cut short after any of its steps, or within them."""
    yield roots
    for step in plan(rebuild, roots):
        if isinstance(step, Make):
            made = step.effect(roots)
            yield replace(made, successor=replace(made.successor, config={**made.successor.config, **CREATING}))
        if isinstance(step, Switch):
            old = roots.instance.with_power("stopped")
            yield replace(roots, instance=old)
            old = replace(old, config=held(old.config, journal_of(old.config) or step.journal))
            yield replace(roots, instance=old)
            gone = replace(roots, instance=nobody("web1"), predecessor=replace(old, name=rebuild.aside))
            yield gone
            yield replace(gone, instance=replace(roots.successor, name="web1"), successor=nobody(SUCCESSOR))
            arrived = step.effect(roots)
            yield replace(arrived, instance=arrived.instance.with_power("stopped"))
        if isinstance(step, Renew):
            yield replace(roots, instance=roots.instance.with_power("stopped"), snapshots=())
        roots = step.effect(roots)
        yield roots


def states() -> Iterator[tuple[Rebuild, Roots, Roots]]:
    """(task, the instance before it, what an earlier run of it has left)."""
    configs: tuple[dict[str, Any], ...] = (
        {},
        {"config": {"boot.autostart": "true", FLEET: "f"}, "ephemeral": True},
        {"devices": {"data": {"type": "disk", "pool": "fast", "source": "v", "path": "/data"}}},
    )
    for snapshots, method, power, fields in product(("refuse", "delete", "keep"), ("auto", "swap"), POWERS, configs):
        for server_rebuilds in (True, False):
            rebuild = wanted(snapshots, method=method, config={"user.b": "1"}, rebuild_id="w")
            snapshot = ("s",) if snapshots != "refuse" else ()
            before = found(rebuild, power, server_rebuilds, snapshots=snapshot, **fields)
            if "config" in fields:
                before = replace(
                    before, instance=replace(before.instance, expanded_config=dict(before.instance.config))
                )
            for roots in left(rebuild, before):
                yield rebuild, before, roots


def test_from_wherever_it_was_cut_short_a_rebuild_comes_to_its_end() -> None:
    seen = 0
    for rebuild, before, roots in states():
        after = predict(roots, plan(rebuild, roots))
        assert plan(rebuild, after) == []
        assert not after.successor.exists
        assert after.predecessor.exists == rebuild.keep
        assert REBUILD not in {**after.instance.config, **after.predecessor.config}
        now, old = after.instance, before.instance
        for part in ("name", "power", "devices", "profiles", "ephemeral", "description", "type"):
            assert getattr(now, part) == getattr(old, part), part
        new = {SOURCE: SOURCE_NEW.digest, REBUILT: "w", "volatile.base_image": "e" * 64, "user.b": "1"}
        assert now.config == {**old.config, **new}
        if rebuild.keep:
            assert not after.predecessor.active
            assert after.predecessor.config["boot.autostart"] == "false"
            assert FLEET not in after.predecessor.config
        seen += 1
    assert seen > 300


def test_a_rebuild_that_was_cut_short_is_ended_before_another_one_begins() -> None:
    other = wanted("keep", Source(type="image", fingerprint="d" * 64), method="swap")
    for rebuild, before, roots in states():
        if rebuild.aside != ASIDE:
            continue
        reread = replace(roots, origin=Origin(type="container", fingerprint="d" * 64, architecture="x86_64"))
        early = journal_of(roots.instance.config) is None or not roots.predecessor.exists
        if early and roots.instance.exists:
            reread = replace(reread, predecessor=nobody(KEPT))
        after = predict(reread, plan(other, replace(reread, snapshots=())))
        assert after.instance.power == before.instance.power
        assert REBUILD not in after.instance.config


def test_the_words_of_a_rebuild() -> None:
    assert [step.text for step in plan(wanted(), found(wanted()))] == [
        "note on web1 that it is rebuilt",
        f"create {SUCCESSOR} from image debian/12",
        "stop web1, put the new root in the place of web1, start web1",
        f"delete the old root {ASIDE}",
        "take the notes of the rebuild off web1",
    ]
    keep = wanted("keep", method="auto")
    assert plan(keep, found(keep, server_rebuilds=True, snapshots=("s",)))[3].text == f"keep the old instance as {KEPT}"
    delete = wanted("delete")
    assert [step.text for step in plan(delete, found(delete, "frozen", True, snapshots=("s",)))] == [
        "note on web1 that it is rebuilt",
        "unfreeze web1, stop web1, delete its snapshots s, rebuild web1 from image debian/12",
        "start web1, freeze web1",
        "take the notes of the rebuild off web1",
    ]


@pytest.mark.parametrize(("digest", "first"), [("", "start web1"), ("other", "note on web1 that it is rebuilt")])
def test_what_does_not_start_is_rebuilt_again_where_something_else_is_wanted(digest: str, first: str) -> None:
    rebuild = wanted("delete")
    roots = found(rebuild, server_rebuilds=True)
    made = journal_for(rebuild, roots).at("rebuilt")
    journal = replace(made, digest=digest or made.digest)
    left = replace(roots.instance, power="stopped", config=noted(MARKED, journal))
    steps = plan(rebuild, replace(roots, instance=left))
    assert steps[0].text == first
    assert predict(replace(roots, instance=left), steps).instance.power == "running"


def test_what_a_result_says_besides() -> None:
    assert report(wanted(), found(wanted())) == {
        "image": {"before": "image (ffffffffffff)", "after": "image debian/12"},
        "snapshots": [],
        "method": "swap",
        "downtime": "seconds",
    }
    assert report(wanted(), found(wanted(), "stopped"))["downtime"] == "none"
    assert report(wanted(), found(wanted(), server_rebuilds=True))["downtime"] == "while the image is unpacked"
    assert report(wanted(source=TINY), found(wanted()))["method"] is None


@pytest.mark.parametrize(
    ("rebuild", "fields", "needed"),
    [
        (wanted(source=TINY), {}, False),
        (wanted(source=TINY, rebuild_id="a"), {}, True),
        (wanted(source=TINY, rebuild_id="a"), {"config": {REBUILT: "a"}}, False),
        (wanted(source=TINY, rebuild_id="b"), {"config": {REBUILT: "a"}}, True),
        (wanted(source=TINY), {"config": {REBUILT: "a"}}, False),
        (wanted(), {"config": {"volatile.base_image": "e" * 64}}, False),
        (wanted(), {"origin": Origin()}, True),
        (wanted(source=Source(type="image", fingerprint="ffff")), {}, False),
        (wanted(source=Source(type="image", fingerprint="eeee")), {}, True),
    ],
)
def test_which_instances_are_rebuilt(rebuild: Rebuild, fields: dict[str, Any], needed: bool) -> None:
    assert bool(plan(rebuild, found(rebuild, **fields))) is needed


def test_the_successor_is_the_same_instance_to_the_server_and_waits() -> None:
    config = {
        "volatile.eth0.hwaddr": "00:16:3e:00:00:01",
        "volatile.uuid.generation": "older",
        "volatile.eth0.host_name": "veth1",
        "image.os": "old",
        "boot.autostart": "true",
        "user.lxdops.pending": "x y",
    }
    rebuild = wanted(config={"boot.autostart": None})
    roots = found(rebuild, config=config)
    roots = replace(roots, instance=replace(roots.instance, expanded_config=roots.instance.config, location="two"))
    make = next(step for step in plan(rebuild, roots) if isinstance(step, Make))
    made = dict(make.create.result.config)
    journal = journal_of(made)
    assert journal is not None
    assert (journal.phase, dict(journal.held)) == ("new", {"boot.autostart": None})
    assert journal.macs == {"volatile.eth0.hwaddr": "00:16:3e:00:00:01"}
    del made[REBUILD]
    assert made == {
        SOURCE: SOURCE_NEW.digest,
        "volatile.uuid": "u",
        "volatile.uuid.generation": "u",
        "volatile.base_image": "e" * 64,
        "boot.autostart": "false",
    }
    assert make.create.target == "two"
    assert make.create.body()["source"] == {"type": "image", "fingerprint": "e" * 64}


def test_what_is_held_back_comes_again() -> None:
    roots = found(wanted(), config={"boot.autostart": "1"})
    journal = journal_for(wanted(), replace(roots, instance=replace(roots.instance, expanded_config={
        "boot.autostart": "1", "security.protection.delete": "true"
    })))  # fmt: skip
    config = held(roots.instance.config, journal)
    assert (config["boot.autostart"], config["security.protection.delete"]) == ("false", "false")
    assert released(config, journal) == roots.instance.config


def test_what_was_left_by_a_rebuild_that_was_undone_is_removed() -> None:
    rebuild = wanted(source=TINY)
    roots = found(rebuild)
    stray = replace(existing("stopped"), name=SUCCESSOR, config=noted(MARKED, journal_for(wanted(), roots).at("new")))
    assert plan(rebuild, replace(roots, successor=stray)) == [Drop(SUCCESSOR)]


def test_an_old_one_whose_successor_is_lost_is_brought_back_and_rebuilt() -> None:
    rebuild = wanted()
    roots = found(rebuild)
    old = replace(roots.instance, name=ASIDE, config=noted(MARKED, journal_for(rebuild, roots)), power="stopped")
    steps = plan(rebuild, replace(roots, instance=nobody("web1"), predecessor=old))
    assert isinstance(steps[0], BringBack)
    assert [type(step) for step in steps].count(Make) == 1
    assert [type(step) for step in steps].count(Retire) == 1


def test_a_successor_that_was_cut_short_is_not_taken() -> None:
    journal = journal_for(wanted(), found(wanted()))
    assert is_made(existing(config=noted({}, journal.at("new"))), journal)
    assert not is_made(existing(config=noted(CREATING, journal.at("new"))), journal)
    assert not is_made(existing(config=noted({}, replace(journal.at("new"), digest="other"))), journal)
    assert not is_made(existing(config=noted({}, journal)), journal)


OTHER = replace(existing("stopped"), name=ASIDE)


@pytest.mark.parametrize(
    ("rebuild", "roots", "words"),
    [
        (wanted(), Roots(nobody("web1"), nobody(SUCCESSOR), nobody(ASIDE)), "web1 on host1: there is no such instance"),
        (wanted(), found(wanted(), origin=Origin(problem="source.alias: there is no image x")), "there is no image x"),
        (
            wanted(),
            found(wanted(), origin=replace(ORIGIN, type="virtual-machine")),
            "the image is of a virtual-machine",
        ),
        (wanted(), found(wanted(), origin=replace(ORIGIN, architecture="aarch64")), "the image is for aarch64"),
        (wanted(), found(wanted(), "suspended"), "in the state suspended; allowed are running, frozen and stopped"),
        (wanted(), found(wanted(), config=CREATING, boot=""), "its creation was cut short"),
        (wanted(), found(wanted(), config={"user.lxdops.migration": "{}"}), "a move of it is under way"),
        (wanted(), found(wanted(), snapshots=("a", "b")), "its snapshots would be lost: a, b"),
        (wanted(), found(wanted(), backups=("a",)), "its backups would be lost: a"),
        (wanted(), found(wanted(), predecessor=OTHER), "is taken by another instance: rename or remove"),
        (wanted("keep"), found(wanted("keep"), predecessor=OTHER), "is taken by another instance: say keep_as"),
        (
            wanted(),
            found(wanted(), expanded_devices={"eth0": {"type": "nic", "ipv4.address": "10.0.0.9"}}),
            "device eth0 has an address from a profile",
        ),
        (wanted(method="server"), found(wanted()), "this server has no rebuild of its own"),
        (wanted(config={"volatile.uuid": "x"}), found(wanted()), "config.volatile.uuid belongs to the server"),
        (
            wanted(),
            found(wanted(), predecessor=replace(OTHER, config=noted({}, journal_for(wanted(), found(wanted()))))),
            "there is another web1 now that it did not make",
        ),
        (
            wanted(),
            found(
                wanted(),
                predecessor=replace(OTHER, power="running", config=noted({}, journal_for(wanted(), found(wanted())))),
            ),
            "somebody started it",
        ),
    ],
)
def test_what_stands_in_the_way(rebuild: Rebuild, roots: Roots, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan(rebuild, roots)


def test_a_snapshot_made_since_the_rebuild_was_cut_short_is_not_lost() -> None:
    for server_rebuilds in (True, False):
        roots = found(wanted(), server_rebuilds=server_rebuilds)
        roots = plan(wanted(), roots)[0].effect(roots)
        with pytest.raises(Refused, match="its snapshots would be lost: since"):
            plan(wanted(), replace(roots, snapshots=("since",)))


def test_the_names_meanwhile_are_names_that_an_instance_may_have() -> None:
    for name in ("a", "b" * 63, "c" * 39 + "-" + "d" * 20):
        for role in ("rebuild", "replaced"):
            assert len(beside(name, role)) <= 63
            assert "--" not in beside(name, role)
    assert beside("b" * 62, "rebuild") != beside("b" * 63, "rebuild")


def given(**options: Any) -> dict[str, Any]:
    """A task's validated parameters."""
    own: dict[str, Any] = {
        "name": "web1",
        "source": {"type": "image", "alias": "a"},
        "config": None,
        "rebuild_id": None,
    }
    own |= {"snapshots": "refuse", "keep_as": None, "method": "auto", "force": False, "stop_timeout": 30}
    return {**own, "wait_timeout": 300, **options}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "-x"}, "name: found '-x'"),
        ({"source": {"type": "none"}}, "source.type: found none, allowed is image"),
        ({"source": {"type": "image"}}, "needs alias or fingerprint"),
        ({"keep_as": "x"}, "keep_as goes with snapshots: keep only"),
        ({"keep_as": "-", "snapshots": "keep"}, "keep_as: found '-'"),
        ({"keep_as": "web1", "snapshots": "keep"}, "found the instance's own name"),
        ({"name": "x" * 60, "snapshots": "keep"}, "keep_as: found 'x"),
        ({"method": "server", "snapshots": "keep"}, "needs method: auto or swap"),
        ({"rebuild_id": "a b"}, "rebuild_id: found 'a b'"),
        ({"config": {"a": []}}, "config.a: found a list"),
    ],
)
def test_parameters_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        rebuild_from(given(**options))


def test_what_is_shown() -> None:
    roots = found(wanted(), config={REBUILT: "w"})
    assert view_roots(roots)["root"] == {"source": TINY.digest, "rebuild_id": "w"}
    assert view_roots(roots)["old"] is None
    assert view_roots(replace(roots, predecessor=OTHER))["old"] == ASIDE
    assert view_roots(Roots(nobody("web1"), nobody("a"), nobody("b"))) == {"name": "web1", "state": "absent"}
