# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host side keeps out of arguments, and how long it waits."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils import iscsi_node
from ansible_collections.lxdops.compute.plugins.module_utils.brick_programs import Programs
from ansible_collections.lxdops.compute.plugins.module_utils.errors import OperationFailed, Refused
from ansible_collections.lxdops.compute.plugins.module_utils.volume_layers import key_of

TARGET = "iqn.2026-01.test:one"
RECORD = "# BEGIN RECORD 2.1.8\nnode.name = {target}\nnode.session.auth.password = old\n# END RECORD\n"
UPDATE = ("iscsiadm", "-m", "node", "-T", TARGET, "-p", "192.0.2.1:3260", "--op", "update")


class Failed(Exception):
    """What stands in for the error of a program."""


def ran(*words: str, **_options: Any) -> tuple[str, str]:
    raise AssertionError(f"{words} was run")


@pytest.mark.parametrize("where", ["192.0.2.1,3260,1/default", "192.0.2.1,3260"])
def test_a_secret_is_written_not_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str) -> None:
    monkeypatch.setattr(iscsi_node, "DIRECTORIES", (str(tmp_path),))
    record = tmp_path / TARGET / where
    record.parent.mkdir(parents=True)
    record.write_text(RECORD.format(target=TARGET))
    assert Programs(ran, Failed)(*UPDATE, "-n", "node.session.auth.password", "-v", "new") == ("", "")
    lines = record.read_text().splitlines()
    assert lines == [
        "# BEGIN RECORD 2.1.8",
        f"node.name = {TARGET}",
        "node.session.auth.password = new",
        "# END RECORD",
    ]
    assert record.stat().st_mode & 0o777 == 0o600


def test_a_secret_without_a_record_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(iscsi_node, "DIRECTORIES", (str(tmp_path),))
    with pytest.raises(OperationFailed, match="there is no record of"):
        Programs(ran, Failed)(*UPDATE, "-n", "node.session.auth.password", "-v", "new")


def test_what_cannot_be_reached_is_said_before_a_program_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    programs = Programs(ran, Failed)
    for words in (
        ("iscsiadm", "-m", "node", "-T", TARGET, "-p", f"127.0.0.1:{port}", "--login"),
        ("nvme", "connect", "-a", "127.0.0.1", "-s", str(port), "-t", "tcp", "-n", "nqn"),
    ):
        with pytest.raises(Failed):
            programs(*words)
    assert programs.said == [f"127.0.0.1 port {port} cannot be reached: Connection refused"] * 2


def test_a_login_that_failed_is_not_tried_again_by_the_same_verb() -> None:
    runs = []

    def refused(*words: str, **_options: Any) -> tuple[str, str]:
        runs.append(words)
        raise Failed("there is no such target")

    with socket.create_server(("127.0.0.1", 0)) as server:
        programs = Programs(refused, Failed)
        login = ("iscsiadm", "-m", "node", "-T", TARGET, "-p", f"127.0.0.1:{server.getsockname()[1]}", "--login")
        for _attempt in range(3):
            with pytest.raises(Failed, match="there is no such target"):
                programs(*login)
        assert runs == [login]
        programs.begin()
        with pytest.raises(Failed):
            programs(*login)
        assert runs == [login] * 2


def test_a_key_is_a_passphrase_or_all_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"key\n\0")
    assert key_of({"passphrase": "word"}) == b"word"
    assert key_of({"key_file": str(file)}) == b"key\n\0"
    with pytest.raises(Refused, match=r"encryption\.key_file: found .*nope, and no passphrase"):
        key_of({"key_file": str(tmp_path / "nope")})
