# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Consoles: what a task asks for, what is done, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.console import Console, Seat, holders_of, shown
from ansible_collections.lxdops.compute.plugins.module_utils.console_device import plan_device, view_device
from ansible_collections.lxdops.compute.plugins.module_utils.console_domain import plan
from ansible_collections.lxdops.compute.plugins.module_utils.console_params import console_from
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Refused
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Current
from ansible_collections.lxdops.compute.plugins.module_utils.steps import predict
from unit.instances import SERVER, absent, existing, virtual_machine

INCUS = replace(SERVER, product="incus", extensions=frozenset({"console_force", "instance_console_screenshot"}))
HOLDER = (("op1", "2026-11-24T02:29:51Z"),)
LOGIN = [{"send": "root", "expect": "assword:"}, {"secret": "hunter2", "expect": "# $"}]
AT = {"type": "proxy", "listen": "tcp:127.0.0.1:5900", "connect": "tcp:127.0.0.1:5900"}


def console(kind: str, **params: Any) -> Console:
    """A task for a console of web1."""
    return console_from({"name": "web1", "type": kind, **params})


def on_incus(current: Current, **fields: Any) -> Seat:
    return Seat(replace(current, server=INCUS), **fields)


DONE = [
    (console("log"), Seat(existing()), []),
    (console("log", clear=True), Seat(existing()), ["clear the console log of web1"]),
    (console("log", clear=True), Seat(existing("stopped")), []),
    (console("log", clear=True), Seat(existing("stopped"), log="x"), ["clear the console log of web1"]),
    (console("log"), on_incus(virtual_machine("stopped")), []),
    (console("serial", run=LOGIN), Seat(existing()), ["talk over the serial console of web1: 2 turns"]),
    (console("serial", show_secret=True), Seat(existing()), ["open a serial console session of web1"]),
    # LXD does not tell whether anybody is connected to it.
    (console("serial", show_secret=True), Seat(existing(), HOLDER), ["open a serial console session of web1"]),
    (
        console("serial", show_secret=True, force=True),
        on_incus(existing(), holders=HOLDER),
        ["open a serial console session of web1"],
    ),
    (console("spice", dest="s.json"), Seat(virtual_machine()), ["open a spice console session of web1"]),
    (
        console("screenshot", dest="s.png"),
        on_incus(virtual_machine()),
        ["take a picture of the screen of web1 to s.png"],
    ),
]


@pytest.mark.parametrize(("wanted", "seat", "texts"), DONE)
def test_what_is_done(wanted: Console, seat: Seat, texts: list[str]) -> None:
    assert [step.text for step in plan(wanted, seat)] == texts


REFUSED = [
    (console("log"), Seat(absent()), "web1 on host1: there is no such instance"),
    (console("log"), Seat(virtual_machine()), "LXD keeps the console log of containers only.*nearest are type: serial"),
    (console("log", clear=True), on_incus(virtual_machine()), "clear: the server clears .* of containers only"),
    (console("serial", run=LOGIN), Seat(existing("stopped")), "found stopped, allowed is running; .* in type: log"),
    (console("serial", run=LOGIN), Seat(existing("frozen")), "found frozen, allowed is running"),
    (console("serial", run=LOGIN, force=True), Seat(existing()), "no API extension console_force"),
    (
        console("serial", run=LOGIN),
        on_incus(existing(), holders=HOLDER),
        "open already, by operation op1 since 2026-11-24T02:29:51Z; force: true takes it over",
    ),
    (console("spice", dest="s"), Seat(existing()), "has no screen; the nearest are type: log and serial"),
    (console("screenshot", dest="s"), on_incus(existing()), "has no screen"),
    (console("screenshot", dest="s"), Seat(virtual_machine()), "which no LXD has; the nearest is type: spice"),
    (console("screenshot", dest="s"), on_incus(virtual_machine("stopped")), "found stopped, allowed is running"),
]


@pytest.mark.parametrize(("wanted", "seat", "words"), REFUSED)
def test_what_is_refused(wanted: Console, seat: Seat, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan(wanted, seat)


@pytest.mark.parametrize(
    ("kind", "params", "words"),
    [
        ("serial", {}, "a session that nobody could use without its secrets: say dest, .* or run"),
        ("spice", {}, "say dest, a file for them, or show_secret: true$"),
        ("serial", {"run": LOGIN, "dest": "x"}, "run ends the session that it opens"),
        ("serial", {"run": [{"send": "a", "secret": "b"}]}, "send and secret are two turns"),
        ("serial", {"run": [{"expect": "("}]}, r"expect: \( is no regular expression"),
        ("serial", {"run": LOGIN, "timeout": -1.0}, "timeout: allowed are more than 0 seconds"),
        ("log", {"redact": ["*"]}, r"redact: \* is no regular expression"),
        ("log", {"tail": -1}, "tail: found -1"),
        ("log", {"run": LOGIN}, "run: it is for type: serial, and found log"),
        ("serial", {"run": LOGIN, "state": "absent"}, "state: it is for type: vnc, rdp, and found serial"),
        ("screenshot", {}, "needs dest, the file for the picture"),
        ("screenshot", {"dest": "/nowhere/at/all"}, "there is no directory /nowhere/at"),
        ("vnc", {"listen": "localhost"}, "listen: found localhost, allowed is an IP address"),
        ("rdp", {"port": 0}, "port: found 0, allowed are 1 to 65535"),
        ("vnc", {"qemu": "unix:/x", "port": 1}, "qemu says where QEMU itself listens; port is for a server"),
        ("rdp", {"qemu": "unix:/x"}, "qemu: it is for type: vnc, and found rdp"),
    ],
)
def test_what_is_wrong_in_itself(kind: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        console(kind, **params)


def test_a_secret_is_in_no_representation() -> None:
    wanted = console("serial", run=LOGIN)
    assert "hunter2" not in repr(wanted)
    assert "hunter2" not in repr(plan(wanted, Seat(existing())))


def test_text_is_shown_plain_and_without_what_is_hidden() -> None:
    heard = "\x1b[2J\x1b]0;title\x07one\r\nhunter2 two\r\n\x1bcpassword=abc\x1b[0m three\r\n"
    wanted = console("serial", run=LOGIN, redact=[r"password=\S+"])
    assert shown(wanted, heard) == "one\n******** two\n******** three\n"
    assert shown(replace(wanted, tail=1), heard) == "******** three\n"
    assert shown(replace(wanted, tail=0), heard) == ""


def test_what_was_deleted_again_is_not_shown() -> None:
    assert shown(console("log"), "\b \b\nlogin:  \b \b\x1b[mb\b\x1b[K") == "\nlogin: "


def test_who_has_a_console() -> None:
    operation = {"id": "op1", "created_at": "now", "class": "websocket", "description": "Showing console"}
    running = [
        {**operation, "resources": {"instances": ["/1.0/instances/web1?project=p"]}},
        {**operation, "id": "op2", "resources": {"instances": ["/1.0/instances/myweb1"]}},
        {**operation, "id": "op3", "description": "Executing command", "resources": {}},
        {**operation, "id": "op4", "resources": None},
    ]
    assert holders_of("web1", {"running": running}) == (("op1", "now"),)
    assert holders_of("web1", {}) == ()


SENTENCES = [
    (console("vnc"), existing(), ["make a vnc console of web1 at 127.0.0.1:5900, to tcp:127.0.0.1:5900"]),
    (console("rdp"), existing(), ["make a rdp console of web1 at 127.0.0.1:3389, to tcp:127.0.0.1:3389"]),
    (
        console("vnc", listen="::1", listen_port=5901, port=1),
        existing(),
        ["make a vnc console of web1 at [::1]:5901, to tcp:127.0.0.1:1"],
    ),
    (console("vnc"), existing(devices={"console-vnc": AT}), []),
    (console("vnc"), existing(devices={"console-vnc": {**AT, "listen": "tcp:10.0.0.1:1"}}), []),
    (
        console("vnc", port=1),
        existing(devices={"console-vnc": AT}),
        ["change the vnc console of web1: at 127.0.0.1:5900, to tcp:127.0.0.1:1"],
    ),
    (
        console("vnc", state="absent"),
        existing(devices={"console-vnc": AT}),
        ["remove the vnc console of web1 at 127.0.0.1:5900"],
    ),
    (console("rdp", state="absent"), existing(devices={"console-vnc": AT}), []),
    (
        console("vnc", listen="10.0.0.1", guest_address="10.1.0.9"),
        virtual_machine(),
        ["make a vnc console of web1 at 10.0.0.1:5900, to tcp:10.1.0.9:5900"],
    ),
    (console("vnc", qemu="unix:/x"), virtual_machine("stopped"), ["make a vnc console of web1 at unix:/x, by QEMU"]),
    (console("vnc", qemu="unix:/x"), virtual_machine(config={"raw.qemu": "-vnc unix:/x"}), []),
    (
        console("vnc", state="absent"),
        virtual_machine("stopped", config={"raw.qemu": "-cpu host -vnc unix:/x"}),
        ["remove the vnc console of web1 at unix:/x"],
    ),
]


@pytest.mark.parametrize(("wanted", "current", "texts"), SENTENCES)
def test_what_leads_to_a_screen(wanted: Console, current: Current, texts: list[str]) -> None:
    assert [step.text for step in plan_device(wanted, current)] == texts


NO_WAY = [
    (console("vnc"), absent(), "there is no such instance"),
    (
        console("vnc", qemu="unix:/x"),
        existing(),
        "this is a container, which no QEMU runs; the nearest is a VNC server",
    ),
    (console("vnc", qemu="unix:/x"), virtual_machine(), "raw.qemu changes while .* stopped only, and it is running"),
    (console("vnc"), virtual_machine(), "guest_address: .* give the static address of its NIC"),
    (console("vnc", guest_address="10.1.0.9"), virtual_machine(), "listen: .* and not from 127.0.0.1"),
    (console("vnc"), existing(devices={"console-vnc": {"type": "none"}}), "console-vnc is no proxy but a none"),
    (console("vnc"), existing(expanded_devices={"console-vnc": AT}), "console-vnc is a profile's"),
]


@pytest.mark.parametrize(("wanted", "current", "words"), NO_WAY)
def test_what_leads_to_no_screen(wanted: Console, current: Current, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan_device(wanted, current)


def test_other_options_of_qemu_and_other_devices_stay() -> None:
    current = virtual_machine("stopped", config={"raw.qemu": "-cpu 'a b' -vnc :1"}, devices={"x": {"type": "none"}})
    made = predict(current, plan_device(console("vnc", qemu=":2"), current))
    assert made.config["raw.qemu"] == "-cpu 'a b' -vnc :2"
    gone = predict(made, plan_device(console("vnc", state="absent"), made))
    assert gone.config["raw.qemu"] == "-cpu 'a b'"
    assert gone.devices == current.devices


def test_a_plan_carried_out_leaves_nothing_to_do() -> None:
    options: tuple[dict[str, Any], ...] = (
        {},
        {"listen": "::1"},
        {"listen_port": 7, "port": 8},
        {"listen": "10.0.0.1", "guest_address": "10.1.0.9"},
        {"state": "absent"},
    )
    tasks = [console(kind, **some) for kind, some in product(("vnc", "rdp"), options)]
    tasks.append(console("vnc", qemu=":1"))
    devices: list[dict[str, dict[str, str]]] = [
        {},
        {"console-vnc": AT},
        {"console-rdp": {**AT, "proxy_protocol": "true"}},
    ]
    planned = 0
    for wanted, local, machine, power in product(tasks, devices, (False, True), ("running", "stopped")):
        current = (virtual_machine if machine else existing)(power, devices=local)
        try:
            steps = plan_device(wanted, current)
        except Refused:
            continue
        planned += bool(steps)
        after = predict(current, steps)
        assert plan_device(wanted, after) == []
        assert view_device(wanted, after)["state"] == ("present" if wanted.present else "absent")
        assert after.power == current.power
    assert planned > 40
