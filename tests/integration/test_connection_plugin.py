# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection plugin: commands and files of an instance, and whole plays inside it."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader
from integration.case import Lane
from integration.lab_host import LabHost

NAME = "inside"
WITH_PYTHON = "python"
PLUGIN = "lxdops.compute.lxd"
NOBODY = 65534
HOST_PYTHON = {
    name: {"type": "disk", "source": source, "path": path, "readonly": "true"}
    for name, source, path in (("usr", "/usr", "/usr"), ("lib", "/usr/lib", "/lib"), ("lib64", "/usr/lib64", "/lib64"))
}
"""Devices that give the tiny guest, which has none, the Python of this machine."""


def variables(connection: Mapping[str, str], instance: str, **more: str) -> dict[str, str]:
    """The plugin's options as the variables of an inventory."""
    return {f"ansible_lxd_{option}": value for option, value in connection.items()} | {"ansible_host": instance} | more


@pytest.fixture(scope="module")
def host(lane: Lane) -> LabHost:
    return lane.host


@pytest.fixture(scope="module")
def instance(host: LabHost) -> Iterator[str]:
    """The name of an instance that runs."""
    host.make(NAME, power="running")
    yield NAME
    host.remove(NAME)


@pytest.fixture
def connect(instance: str, lane: Lane) -> Iterator[Callable[..., Any]]:
    """A function that makes connections to the instance, with other variables where they are given."""
    made = []

    def make(**more: str) -> Any:
        connection = connection_loader.get(PLUGIN, PlayContext(), os.devnull)
        connection.set_options(var_options=variables(lane.connection, instance, **more), task_keys={})
        made.append(connection)
        return connection

    yield make
    for connection in made:
        connection.close()


def kept_output(host: LabHost) -> list[str]:
    """The files of output that the server keeps of commands in the instance."""
    directory = "logs/exec-output" if host.product == "incus" else "logs"
    return [url for url in host.query(f"instances/{NAME}/{directory}") if "/exec_" in url]


def test_a_command_returns_its_code_and_its_two_outputs_byte_for_byte(connect: Callable[..., Any], lane: Lane) -> None:
    command = r"printf 'out\377\000'; printf 'err\376' >&2; exit 3"
    assert connect().exec_command(command) == (3, b"out\xff\x00", b"err\xfe")
    assert kept_output(lane.host) == []


def test_a_large_output_is_whole(connect: Callable[..., Any]) -> None:
    code, output, errors = connect().exec_command("head -c 3000000 /dev/zero")
    assert (code, output, errors) == (0, bytes(3_000_000), b"")


def test_a_command_outlasts_the_wait_of_one_request(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect()
    connection.exec_command("true")
    monkeypatch.setattr(f"{connection._on.__class__.__module__}.SILENCE", 1.0)
    assert connection.exec_command("sleep 3; echo done") == (0, b"done\n", b"")


def test_a_killed_command(connect: Callable[..., Any]) -> None:
    assert connect().exec_command("kill -9 $$")[0] == 137


@pytest.mark.parametrize("size", [0, 2_000_000])
def test_a_file_goes_there_and_back(connect: Callable[..., Any], tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(content)
    connection = connect()
    connection.put_file(str(source), f"/root/file with spaces {size}")
    inside = connection.exec_command(
        f"cd /root; sha256sum <'file with spaces {size}'; ls -ln 'file with spaces {size}'"
    )
    checksum, listing = inside[1].decode().splitlines()
    assert checksum.split()[0] == hashlib.sha256(content).hexdigest()
    assert listing.split()[:4] == ["-rw-------", "1", "0", "0"]
    connection.fetch_file(f"/root/file with spaces {size}", str(back))
    assert back.read_bytes() == content


def test_a_fetch_follows_links(connect: Callable[..., Any], tmp_path: Path) -> None:
    connection = connect()
    connection.exec_command("echo here >/root/file; ln -sf file /root/relative; ln -sf /root/relative /root/absolute")
    connection.fetch_file("/root/absolute", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "here\n"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nothing", "Not Found"),
        ("/root", "it is a directory, not a file"),
        ("/root/loop", "more than 40 symbolic links"),
    ],
)
def test_what_cannot_be_fetched(connect: Callable[..., Any], tmp_path: Path, path: str, words: str) -> None:
    connection = connect()
    connection.exec_command("ln -sf loop /root/loop")
    with pytest.raises(AnsibleError, match=f"fetch {path} from instance {NAME}: .*{words}"):
        connection.fetch_file(path, str(tmp_path / "file"))
    assert not (tmp_path / "file").exists()


def test_what_cannot_be_sent(connect: Callable[..., Any], tmp_path: Path) -> None:
    source = tmp_path / "source"
    with pytest.raises(AnsibleFileNotFound, match="is not a file of the controller"):
        connect().put_file(str(source), "/root/file")
    source.write_bytes(bytes(1_000_000))
    with pytest.raises(AnsibleError, match=f"send /nothing/file to instance {NAME}: .*Not Found"):
        connect().put_file(str(source), "/nothing/file")


def test_another_user(connect: Callable[..., Any], tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("mine\n")
    connect().exec_command("mkdir -m 777 -p /srv/all; rm -f /srv/all/*")
    connection = connect(ansible_user="nobody")
    connection.put_file(str(source), "/srv/all/mine")
    assert connection.exec_command(
        "id -u; pwd; cat /srv/all/mine; ls -ln /srv/all/mine | tr -s ' ' | cut -d ' ' -f 3,4"
    ) == (
        0,
        f"{NOBODY}\n/\nmine\n{NOBODY} {NOBODY}\n".encode(),
        b"",
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ansible_host": "nothing"}, f"no instance nothing on .*, project default: found .*{NAME}"),
        ({"ansible_lxd_project": "nowhere"}, "project nowhere is not on"),
        ({"ansible_executable": "/bin/nothing"}, f"run a command in instance {NAME}: .*Command not found"),
        ({"ansible_lxd_endpoint": "/nothing/unix.socket"}, "there is no such socket"),
    ],
)
def test_what_is_missing_is_named(connect: Callable[..., Any], change: dict[str, str], words: str) -> None:
    with pytest.raises(AnsibleConnectionFailure, match=words):
        connect(**change).exec_command("true")


@pytest.fixture
def asleep(host: LabHost) -> Iterator[str]:
    host.make("asleep")
    yield "asleep"
    host.remove("asleep")


def test_a_stopped_instance_is_named(connect: Callable[..., Any], asleep: str) -> None:
    with pytest.raises(AnsibleConnectionFailure, match=r"instance asleep on .* is stopped, it must be running"):
        connect(ansible_host=asleep).exec_command("true")


PLAY: list[dict[str, Any]] = [
    {
        "hosts": "all",
        "gather_facts": True,
        "vars": {"ansible_python_interpreter": "/usr/bin/python3"},
        "tasks": [
            {"ansible.builtin.assert": {"that": f"ansible_facts.hostname == '{WITH_PYTHON}'"}},
            {"ansible.builtin.copy": {"content": "by a module\n", "dest": "/root/module", "mode": "0640"}},
            {"ansible.builtin.fetch": {"src": "/root/module", "dest": "{{ out }}/module", "flat": True}},
            {"ansible.builtin.script": "{{ out }}/script.sh word", "register": "script"},
            {"ansible.builtin.assert": {"that": "script.stdout_lines == ['word', '0']"}},
            {
                "ansible.builtin.command": "id -un",
                "become": True,
                "become_method": "su",
                "become_user": "nobody",
                "become_flags": "-s /bin/sh",
                "register": "user",
            },
            {"ansible.builtin.assert": {"that": "user.stdout == 'nobody'"}},
        ],
    }
]


@pytest.mark.thorough
def test_a_play_inside(host: LabHost, make: Callable[..., None], tmp_path: Path) -> None:
    make(WITH_PYTHON, power="running", devices=HOST_PYTHON)
    hosts = {way: variables(getattr(host, way), WITH_PYTHON) for way in ("unix", "https")}
    inventory = {
        "all": {
            "hosts": hosts,
            "vars": {"ansible_connection": PLUGIN, "out": f"{tmp_path}/{{{{ inventory_hostname }}}}"},
        }
    }
    for way in hosts:
        (tmp_path / way).mkdir()
        (tmp_path / way / "script.sh").write_text('#!/bin/sh\necho "$1"\nid -u\n')
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    (tmp_path / "play.json").write_text(json.dumps(PLAY))
    words = [sys.executable, "-m", "ansible.cli.playbook", "--inventory", "inventory.json", "play.json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(tmp_path / way / "module").read_text() for way in hosts] == ["by a module\n"] * 2
    assert host.client("exec", WITH_PYTHON, "--", "stat", "-c", "%a", "/root/module") == "640\n"
