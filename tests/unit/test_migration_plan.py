# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves between two servers: from whatever an earlier run has left, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Refused
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Current, Server
from ansible_collections.lxdops.compute.plugins.module_utils.instance_record import HOME
from ansible_collections.lxdops.compute.plugins.module_utils.migration import (
    JOURNAL,
    Journal,
    Move,
    Pair,
    Place,
    held,
    journal_for,
    journal_of,
    noted,
    released,
    view_pair,
)
from ansible_collections.lxdops.compute.plugins.module_utils.migration_blockers import clash
from ansible_collections.lxdops.compute.plugins.module_utils.migration_plan import plan, report
from ansible_collections.lxdops.compute.plugins.module_utils.migration_steps import Abort, Drop, Remove, Start
from ansible_collections.lxdops.compute.plugins.module_utils.steps import predict
from unit.instances import DEFAULT, existing, virtual_machine

HERE, THERE = Server(name="host1"), Server(name="host2")
NEVER = "1970-01-01T00:00:00Z"
ORIGIN = Place(product="lxd", fingerprint="a")
PLACE = Place(
    product="lxd",
    fingerprint="b",
    architectures=("x86_64",),
    types=frozenset({"container", "virtual-machine"}),
    pools=frozenset({"fast", "other"}),
    networks=frozenset({"lab0", "lab1"}),
    profiles={"default": DEFAULT},
    memory=4 << 30,
)
MOVE = Move("web1", "web1")
POWERS = ("running", "frozen", "stopped")


def here(power: str = "running", **fields: Any) -> Current:
    """The instance on the source."""
    return existing(power, **{"server": HERE, "architecture": "x86_64", "location": "none", **fields})


def nowhere(server: Server, name: str = "web1") -> Current:
    return Current(name=name, server=server)


def there(source: Current, phase: str, power: str = "stopped", boot: str = NEVER) -> Current:
    """A copy on the target."""
    config = held(source.config, journal_for(source).at(phase)) if phase else dict(source.config)
    return replace(source, server=THERE, power=power, config=config, ephemeral=False, boot=boot)


def pair_of(source: Current, target: Current, *places: Place) -> Pair:
    """Both sides, on servers that the journals of these tests do not name."""
    return Pair(source, target, "", "", *places)


def fresh(source: Current, **place: Any) -> Pair:
    """Nothing on the target yet."""
    return pair_of(source, nowhere(THERE), replace(PLACE, **place), ORIGIN)


def left(source: Current) -> Current:
    """The source after the first step of a move."""
    return replace(source, config=noted(source.config, journal_for(source)), ephemeral=False)


def pairs() -> list[Pair]:
    """Both servers after a run was cut short anywhere, and some that are nobody's fault."""
    found = []
    locals_: tuple[dict[str, Any], ...] = (
        {},
        {"expanded_config": {"boot.autostart": "true"}, "ephemeral": True},
    )
    for power, more in product(POWERS, locals_):
        source = here(power, **more)
        off = left(source).with_power("stopped")
        found += [fresh(source), fresh(left(source)), fresh(off)]
        found += [pair_of(left(source), there(source, phase)) for phase in ("incoming", "copied")]
        found += [pair_of(off, there(source, phase)) for phase in ("incoming", "copied", "arrived")]
        found += [pair_of(source, there(source, "incoming"))]
        found += [
            pair_of(gone, there(source, "arrived", at, boot))
            for gone in (off, nowhere(HERE))
            for at, boot in (("running", "now"), ("frozen", "now"), ("stopped", "now"), ("stopped", NEVER))
            if at == "stopped" or POWERS.index(at) <= POWERS.index(power) < 2
        ]
    for power in ("running", "frozen"):
        source = here(power)
        saved = left(source).with_power("suspended")
        found += [pair_of(left(source), there(source, phase, "suspended")) for phase in ("incoming", "copied")]
        found += [pair_of(saved, there(source, phase, "suspended")) for phase in ("incoming", "copied", "arrived")]
        found += [fresh(saved), pair_of(saved, there(source, "copied"))]
    return [*found, fresh(here("suspended")), pair_of(nowhere(HERE), there(here(), "", "running"))]


@pytest.mark.parametrize("method", ["auto", "cold", "live"])
def test_a_move_carried_out_leaves_it_on_the_target_as_it_was(method: str) -> None:
    move = replace(MOVE, method=method)
    for pair in pairs():
        steps = plan(move, pair)
        after = predict(pair, steps)
        assert plan(move, after) == [], pair
        assert not after.source.exists
        noted_power = journal_of(pair.source.config) or journal_of(pair.target.config)
        expected = noted_power.power if noted_power else (pair.source if pair.source.exists else pair.target).power
        assert after.target.power == expected
        assert JOURNAL not in after.target.config
        assert bool(steps) or view_pair(after) == view_pair(pair)


def test_giving_up_leaves_it_on_the_source_as_it_was() -> None:
    move = replace(MOVE, state="aborted")
    given_up = 0
    for pair in pairs():
        copy = journal_of(pair.target.config)
        if pair.source.exists and copy and copy.phase == "arrived" and pair.target.boot != NEVER:
            with pytest.raises(Refused, match="has started on host2 already"):
                plan(move, pair)
            continue
        steps = plan(move, pair)
        after = predict(pair, steps)
        assert plan(move, after) == []
        if steps:
            given_up += 1
            assert not after.target.exists
            assert after.source.exists
            assert JOURNAL not in after.source.config
    assert given_up > 20


def test_a_source_is_removed_only_behind_a_copy_that_has_arrived() -> None:
    for pair in pairs():
        for step in plan(MOVE, pair):
            if isinstance(step, Remove):
                copy = journal_of(pair.target.config)
                assert copy is not None
                assert copy.phase == "arrived"
                assert pair.target.exists
                assert not pair.source.active
            if isinstance(step, (Drop, Abort)):
                assert pair.source.exists
                assert not pair.target.active
            pair = step.effect(pair)


def test_what_is_held_back_is_given_back() -> None:
    for config, expanded in (
        ({"boot.autostart": "true", "user.a": "1"}, {"boot.autostart": "true"}),
        ({"user.a": "1"}, {"boot.autostart": "true", "security.protection.delete": "yes"}),
        ({}, {}),
    ):
        current = here(config=config, expanded_config=expanded)
        waiting = held(current.config, journal_for(current))
        journal = journal_of(waiting)
        assert journal is not None
        assert all(waiting[key] == "false" for key in expanded)
        assert released(waiting, journal) == current.config
        assert Journal(**vars(journal)).text == waiting[JOURNAL]


def test_the_words_of_a_move() -> None:
    assert [step.text for step in plan(MOVE, fresh(here()))] == [
        "note on web1 that it moves",
        "copy web1 to host2 while it runs",
        "stop web1, copy what changed to host2, check the copy, start web1 there",
        "delete web1 on host1",
        "web1 is on host2: take off the notes of the move",
    ]
    assert report(MOVE, fresh(here())) == {"method": "refresh", "volumes": []}
    moved = Move("web1", "web2", force=True)
    assert [step.text for step in plan(moved, fresh(virtual_machine(server=HERE, architecture="x86_64")))] == [
        "note on web1 that it moves",
        "kill web1, copy it to host2, check the copy, start web2 there",
        "delete web1 on host1",
        "web2 is on host2: take off the notes of the move",
    ]


def test_the_words_of_a_live_move() -> None:
    live = replace(MOVE, method="live")
    pair = fresh(here("frozen"))
    assert [step.text for step in plan(live, pair)] == [
        "note on web1 that it moves",
        "copy web1 to host2 while it runs",
        "unfreeze web1, suspend web1, copy what changed to host2, check the copy, resume web1 there, freeze web1 there",
        "delete web1 on host1",
        "web1 is on host2: take off the notes of the move",
    ]
    assert report(live, pair) == {"method": "live", "volumes": []}
    assert report(live, fresh(here("stopped"))) == {"method": "cold", "volumes": []}
    saved = pair_of(left(here()).with_power("suspended"), nowhere(THERE))
    assert plan(replace(MOVE, state="aborted"), saved)[0].text == "give up the move of web1, resume web1"
    stateful = virtual_machine(server=HERE, architecture="x86_64", expanded_config={"migration.stateful": "true"})
    assert plan(live, fresh(stateful))[1].text.startswith("suspend web1, copy it to host2, check the copy, resume")


@pytest.mark.parametrize("method", ["cold", "live"])
def test_a_copy_that_takes_no_memory_is_made_anew_where_there_is_some_to_take(method: str) -> None:
    saved = method == "live"
    for at in ("stopped", "suspended"):
        pair = pair_of(left(here()), there(here(), "copied", at))
        steps = plan(replace(MOVE, method=method), pair)
        assert isinstance(steps[0], Drop) == ((at == "suspended") != saved)


@pytest.mark.parametrize(
    ("source", "place", "move", "words"),
    [
        ({}, {"fingerprint": "a"}, {}, "the same server"),
        ({}, {"product": "incus"}, {}, "the source is lxd, the target incus"),
        ({}, {"cordoned": "disk swap"}, {}, "cordoned (disk swap)"),
        ({"architecture": "aarch64"}, {}, {}, "architecture aarch64: the target has x86_64"),
        ({}, {"types": frozenset({"virtual-machine"})}, {}, "type container: the target runs virtual-machine"),
        ({"profiles": ("web",), "devices": DEFAULT.devices}, {}, {}, "profile web is not on the target"),
        ({"expanded_config": {"limits.memory": "8GiB"}}, {}, {}, "limits.memory 8GiB: the target has 4096 MiB"),
        ({"power": "suspended"}, {}, {}, ""),
        ({"power": "suspended"}, {}, {"new_name": "web2"}, "the saved memory of a container has its name web1 in it"),
        ({}, {}, {"method": "live", "new_name": "web2"}, "the saved memory of a container has its name web1 in it"),
        (
            {"server": replace(HERE, product="incus")},
            {},
            {"method": "live"},
            "it needs config migration.stateful: true",
        ),
        ({"power": "error"}, {}, {}, "in the state error"),
        ({"config": {"volatile.uuid": ""}}, {}, {}, ""),
        ({}, {"pools": frozenset()}, {}, "pool fast of device root is not on the target: set pool"),
        ({}, {}, {"pool": "nope"}, "pool nope of device root"),
        ({}, {"networks": frozenset()}, {}, "network lab0 of device eth0 is not on the target: set networks"),
        ({}, {}, {"networks": {"lab0": "lab9"}}, "network lab9 of device eth0"),
        ({"devices": {"d": {"type": "disk", "source": "/srv", "path": "/srv"}}}, {}, {}, "host_devices: true"),
        ({"devices": {"g": {"type": "gpu"}}}, {}, {}, "device g (gpu ) is of the host"),
        ({"devices": {"p": {"type": "nic", "nictype": "macvlan", "parent": "e9"}}}, {}, {}, "interface e9 of device p"),
        ({"devices": {"v": {"type": "disk", "pool": "fast", "source": "v1"}}}, {}, {}, "volume v1 of pool fast"),
        (
            {"devices": {"p": {"type": "proxy", "listen": "tcp:127.0.0.1:80", "connect": "tcp:127.0.0.1:80"}}},
            {"listening": {"tcp:0.0.0.0:80": "web2"}},
            {},
            "device p listens at tcp:127.0.0.1:80, as web2 on the target does at tcp:0.0.0.0:80",
        ),
    ],
)
def test_what_stands_in_the_way(
    source: dict[str, Any], place: dict[str, Any], move: dict[str, Any], words: str
) -> None:
    devices = source.get("devices", {})
    more = {"expanded_devices": {**DEFAULT.devices, **devices}} if devices else {}
    pair = fresh(here(**{"power": "running", **source, **more}), **place)
    if not words:
        assert plan(MOVE, pair)
        return
    with pytest.raises(Refused) as refusal:
        plan(replace(MOVE, **move), pair)
    assert words in refusal.value.message
    assert len(refusal.value.details["blockers"]) == 1


@pytest.mark.parametrize(
    ("listen", "other", "clashes"),
    [
        ("tcp:0.0.0.0:80", "tcp:0.0.0.0:80", True),
        ("tcp:[::]:80", "tcp:10.0.0.1:80", True),
        ("tcp:10.0.0.1:80", "tcp:10.0.0.2:80", False),
        ("tcp:0.0.0.0:80", "udp:0.0.0.0:80", False),
        ("tcp:0.0.0.0:80-90,100", "tcp:0.0.0.0:100", True),
        ("tcp:0.0.0.0:80-90,100", "tcp:0.0.0.0:91-99", False),
        ("unix:/run/a", "unix:/run/a", True),
        ("unix:/run/a", "unix:/run/b", False),
        ("", "tcp:0.0.0.0:80", False),
    ],
)
def test_where_two_listen_at_the_same_place(listen: str, other: str, clashes: bool) -> None:
    assert clash(listen, other) == clashes
    assert clash(other, listen) == clashes


def test_all_that_stands_in_the_way_is_told_at_once() -> None:
    with pytest.raises(Refused) as refusal:
        plan(MOVE, fresh(here(), pools=frozenset(), cordoned="x", networks=frozenset()))
    assert len(refusal.value.details["blockers"]) == 3
    assert plan(MOVE, fresh(left(here()), cordoned="x")), "a move that has begun goes on"


def test_a_virtual_machine_is_not_copied_while_it_runs() -> None:
    pair = fresh(virtual_machine(server=HERE, architecture="x86_64"))
    with pytest.raises(Refused, match="method cold works"):
        plan(replace(MOVE, method="refresh"), pair)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (pair_of(nowhere(HERE), nowhere(THERE)), "no such instance on either server"),
        (pair_of(here(), there(here(), "")), "neither is a copy that a move of ours made"),
        (pair_of(here(), there(here(config={"volatile.uuid": "other"}), "copied")), "copy of another instance"),
        (pair_of(left(here()), there(here(), "arrived", "running", "now")), "it runs on host1 and on host2"),
        (pair_of(left(here()), there(here(), "arrived", "stopped", "now")), "both have changes"),
        (pair_of(nowhere(HERE), there(here(), "copied")), "its source is gone"),
    ],
)
def test_what_no_run_can_decide_is_refused(pair: Pair, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan(MOVE, pair)


def test_a_move_that_goes_elsewhere_is_not_taken_over() -> None:
    source = here()
    begun = replace(source, config=noted(source.config, journal_for(source, "a", "b"))).with_power("stopped")
    assert plan(MOVE, Pair(begun, nowhere(THERE), "a", "b", PLACE, ORIGIN))
    for state in ("migrated", "aborted"):
        with pytest.raises(Refused, match="a move to another server than host2 is under way, where it may run already"):
            plan(replace(MOVE, state=state), Pair(begun, nowhere(THERE), "a", "c", PLACE, ORIGIN))


def test_a_home_is_noted_when_it_is_left_and_forgotten_when_it_is_reached() -> None:
    away = replace(MOVE, remember_home=True)
    pair = Pair(here(), nowhere(THERE), "a", "b", replace(PLACE, name="there"), replace(ORIGIN, name="here"))
    assert predict(pair, plan(MOVE, pair)).target.config.get(HOME) is None
    moved = predict(pair, plan(away, pair)).target
    assert moved.config[HOME] == "here"
    farther = Pair(moved, nowhere(HERE), "b", "c", replace(PLACE, name="third"), replace(ORIGIN, name="there"))
    assert predict(farther, plan(away, farther)).target.config[HOME] == "here"
    back = Pair(moved, nowhere(HERE), "b", "a", replace(PLACE, name="here"), replace(ORIGIN, name="there"))
    assert HOME not in predict(back, plan(away, back)).target.config
    aborted = predict(pair, plan(away, pair)[:1])
    assert HOME not in predict(aborted, plan(replace(MOVE, state="aborted"), aborted)).source.config


VOLUME = {"type": "disk", "path": "/srv", "source": "/dev/here", "user.lxdops.volume": "vol1", "required": "false"}
STEPWISE = replace(MOVE, state="arrived", volumes={"vol1": "/dev/there"})


def with_volume(power: str = "running", **fields: Any) -> Current:
    """The instance on the source, with a volume."""
    return here(power, devices={"v1": VOLUME}, **fields)


def arrives(power: str = "running") -> Pair:
    """The copy is complete, the source stopped."""
    source = with_volume(power)
    left_behind = replace(left(source), power="stopped")
    return pair_of(left_behind, there(source, "arrived"))


def test_an_instance_with_volumes_arrives_by_their_paths_there_and_is_not_started() -> None:
    assert [step.text for step in plan(STEPWISE, fresh(with_volume()))] == [
        "note on web1 that it moves",
        "copy web1 to host2 while it runs",
        "stop web1, copy what changed to host2, check the copy",
    ]
    after = predict(fresh(with_volume()), plan(STEPWISE, fresh(with_volume())))
    assert (after.source.power, after.target.power) == ("stopped", "stopped")
    assert after.target.devices["v1"]["source"] == "/dev/there"
    assert after.source.devices["v1"]["source"] == "/dev/here"
    assert plan(STEPWISE, after) == []
    same_path = replace(STEPWISE, volumes={"vol1": None})
    made = predict(fresh(with_volume()), plan(same_path, fresh(with_volume())))
    assert made.target.devices["v1"]["source"] == "/dev/here"
    (shown,) = report(STEPWISE, fresh(with_volume()))["volumes"]
    assert shown == {"volume": "vol1", "device": "v1", "source": "/dev/here"}


def test_its_copy_starts_only_when_its_volumes_are_disconnected_from_the_source() -> None:
    move = replace(STEPWISE, state="migrated")
    with pytest.raises(Refused, match="moves in steps"):
        plan(move, fresh(with_volume()))
    pair = arrives()
    with pytest.raises(Refused, match=r"its volumes must be disconnected from the source, .*: vol1"):
        plan(move, pair)
    gone = {"user.lxdops.released": "v1"}
    ready = replace(pair, source=replace(pair.source, config={**pair.source.config, **gone}))
    assert [step.text for step in plan(move, ready)] == [
        "start web1",
        "delete web1 on host1",
        "web1 is on host2: take off the notes of the move",
    ]
    lost = replace(ready, target=replace(ready.target, config={**ready.target.config, **gone}))
    with pytest.raises(Refused, match="disconnected from host2, where it shall start"):
        plan(move, lost)
    with pytest.raises(Refused, match="may have begun to use its volumes"):
        plan(replace(STEPWISE, state="aborted"), ready)
    with pytest.raises(Refused, match="disconnected from host1: connect them there first"):
        plan(replace(STEPWISE, state="aborted"), lost)
    back = replace(lost, source=pair.source)
    assert [step.text for step in plan(replace(STEPWISE, state="aborted"), back)] == [
        "give up the move of web1, start web1"
    ]


@pytest.mark.parametrize(
    ("move", "power", "words"),
    [
        (MOVE, "running", "volume vol1 \\(device v1\\) is connected to the source: connect it to the target too"),
        (replace(MOVE, host_devices=True), "running", "volume vol1 \\(device v1\\) is connected to the source"),
        (replace(STEPWISE, method="live"), "running", "method live: its saved memory .*method auto works"),
        (STEPWISE, "suspended", "it is suspended: its saved memory .*start it first"),
    ],
)
def test_which_instances_with_volumes_do_not_move(move: Move, power: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        plan(move, fresh(with_volume(power)))
    assert [one["volume"] for one in refused.value.details["volumes"]] == ["vol1"]


def test_an_encrypted_volume_is_not_had_as_it_is_stored() -> None:
    mapped = {**VOLUME, "source": "/dev/mapper/lxdops-v1"}
    with pytest.raises(Refused, match="encrypted on one of the hosts and not on the other"):
        plan(STEPWISE, fresh(here(devices={"v1": mapped})))
    assert plan(replace(STEPWISE, volumes={"vol1": mapped["source"]}), fresh(here(devices={"v1": mapped})))


def test_a_move_gone_on_with_needs_its_volumes_said_too() -> None:
    source = left(with_volume())
    for target in (nowhere(THERE), there(with_volume(), "copied")):
        with pytest.raises(Refused, match="volume vol1"):
            plan(replace(STEPWISE, volumes={}), pair_of(source, target, PLACE, ORIGIN))


def test_a_copy_whose_source_is_gone_is_never_removed() -> None:
    (started, _finish) = plan(MOVE, pair_of(nowhere(HERE), there(here(), "arrived")))
    assert isinstance(started, Start)
    assert started.failing == "leave"


def test_a_cordon_does_not_keep_away_what_comes_home() -> None:
    place = {"name": "host2", "cordoned": "disk swap"}
    with pytest.raises(Refused, match="the target is cordoned"):
        plan(MOVE, fresh(here(), **place))
    assert plan(MOVE, fresh(here(config={HOME: "host2"}), **place))
