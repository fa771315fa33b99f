# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_console on virtual machines: the serial line, SPICE over the session's websocket, VNC by QEMU's own socket, and
what is refused, in words."""

import json
import shlex
import struct

import pytest
from machines.place import NESTED, Virtual

pytestmark = pytest.mark.thorough
CONSOLE = "lxd_console"
PARTS = ("changed", "steps", "diff", "console")
LOGIN = [{"send": "", "expect": "login: $", "timeout": 60}, {"send": "root", "expect": "# $", "timeout": 60}]
LEAVE = [{"send": "exit", "expect": "login: $", "timeout": 60}]
SPICE = b"REDQ" + struct.pack("<III", 2, 2, 18) + struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18)
"""The header and message by which a client opens its main channel (spice-protocol, protocol.h: SpiceLinkMess)."""
VNC = "/run/lxdops-vnc.sock"


def talked(machine: Virtual, kind: str, say: bytes, wanted: bytes) -> bytes:
    """What another websocket client hears over a session that a task opened."""
    file = "/root/session.json"
    opened = machine.done(CONSOLE, type=kind, dest=file)
    session = json.loads(machine.guest.shell(f"stat -c %a {file} >&2; cat {file}"))
    assert opened["connection"] == {key: value for key, value in session.items() if key != "secrets"}
    assert not [secret for secret in session["secrets"].values() if secret in str(opened)]
    heard = machine.guest.shell(
        f"PYTHONPATH=/opt/lxdops timeout 200 python3 /root/tests/talk.py {file} {say.hex()} {wanted.hex()}; rm {file}"
    )
    return bytes.fromhex(heard)


def test_a_script_runs_a_command_over_the_serial_line(machine: Virtual) -> None:
    turns = [*LOGIN, {"send": "echo $((6 * 7)) $(hostname)", "expect": "^42 tiny$", "timeout": 60}, *LEAVE]
    checked = machine.task(CONSOLE, check=True, type="serial", run=turns)
    assert (checked["changed"], "transcript" in checked) == (True, False)
    for _again in range(2):
        heard = machine.done(CONSOLE, type="serial", run=turns)
        assert {part: heard[part] for part in PARTS} == {part: checked[part] for part in PARTS}
        assert "42 tiny\n" in heard["transcript"]


def test_the_serial_line_is_handed_to_another_client(machine: Virtual) -> None:
    assert b"login: " in talked(machine, "serial", b"\x15\r", b"login: ")


def test_spice_answers_a_client(machine: Virtual) -> None:
    """With its own link header, over the websocket: the major version, and no error."""
    heard = talked(machine, "spice", SPICE, b"REDQ")
    magic, major, _minor, size, error = struct.unpack_from("<4sIIII", heard)
    assert (magic, major, error) == (b"REDQ", 2, 0)
    assert size > 0


def test_what_a_server_cannot_do_of_a_virtual_machine_is_refused(machine: Virtual) -> None:
    log = "LXD keeps the console log of containers only, and this is a virtual machine; the nearest are type: serial"
    machine.refused(log, CONSOLE, type="log")
    machine.refused("the nearest is type: spice", CONSOLE, type="screenshot", dest="/root/screen.png")
    machine.refused("changes while the virtual machine is stopped only", CONSOLE, type="vnc", qemu=f"unix:{VNC}")
    for kind in ("vnc", "rdp"):
        machine.refused("give the static address of its NIC", CONSOLE, type=kind)
        machine.refused("and not from 127.0.0.1", CONSOLE, type=kind, guest_address="10.99.0.9")


def test_qemu_serves_its_screen_by_vnc(blank: Virtual) -> None:
    """From the start on, with whatever the guest does; the other options of QEMU stay."""
    blank.refused("type: spice: found stopped, allowed is running", CONSOLE, type="spice", dest="/root/session.json")
    before = blank.instance()
    made = blank.proved(PARTS, CONSOLE, type="vnc", qemu=f"unix:{VNC}")
    assert made["console"]["address"] == f"unix:{VNC}"
    words = shlex.split(blank.instance()["config"]["raw.qemu"])
    assert words == [*shlex.split(NESTED), "-vnc", f"unix:{VNC}"]

    blank.power("start")
    banner = "import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect('%s'); print(s.recv(12))"
    assert blank.guest.shell(f'python3 -c "{banner % VNC}"').strip() == "b'RFB 003.008\\n'"
    assert not blank.done(CONSOLE, type="vnc", qemu=f"unix:{VNC}")["changed"]
    blank.refused("changes while the virtual machine is stopped only", CONSOLE, type="vnc", state="absent")

    blank.power("stop", force=True)
    gone = blank.proved(PARTS, CONSOLE, type="vnc", state="absent")
    assert gone["console"]["address"] is None
    assert shlex.split(blank.instance()["config"]["raw.qemu"]) == shlex.split(NESTED)
    assert blank.instance()["devices"] == before["devices"]
    blank.power("start")
    assert blank.guest.shell("pgrep -af [-]vnc || true") == ""
