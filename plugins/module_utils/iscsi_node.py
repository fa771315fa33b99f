# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The CHAP secret of an iSCSI node, written where iscsiadm keeps it: as an argument, which is the only way that
iscsiadm takes it, every process of the host could read it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .errors import OperationFailed

DIRECTORIES = ("/etc/iscsi/nodes", "/var/lib/iscsi/nodes")
"""Debian's and others'."""
SECRETS = ("node.session.auth.password", "node.session.auth.password_in")
END = "# END RECORD"


def write_setting(target: str, portal: str, name: str, value: str) -> None:
    """Set a value of a node's record, which iscsiadm has made. Raises OperationFailed where there is none."""
    found = [path for directory in DIRECTORIES for path in _records(directory, target, portal)]
    if not found:
        raise OperationFailed(
            f"there is no record of {target} at {portal} in {' or '.join(DIRECTORIES)}, to write its CHAP secret to"
        )
    for path in found:
        _write(path, name, value)


def _records(directory: str, target: str, portal: str) -> Iterator[str]:
    """A file for each interface, in a directory of the portal; or one file without an interface (idbm.c)."""
    address, _colon, port = portal.rpartition(":")
    beginning = f"{address.strip('[]')},{port}"
    try:
        names = os.listdir(f"{directory}/{target}")
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name == beginning or name.startswith(f"{beginning},"):
            path = f"{directory}/{target}/{name}"
            yield from (f"{path}/{file}" for file in os.listdir(path)) if os.path.isdir(path) else [path]


def _write(path: str, name: str, value: str) -> None:
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file.read().splitlines() if line.partition(" = ")[0] != name and line != END]
    text = "\n".join([*lines, f"{name} = {value}", END, ""]).encode()
    record = os.open(path, os.O_WRONLY)
    try:
        os.fchmod(record, 0o600)
        # In one call: a run that is killed leaves the old record, or the new one.
        os.pwrite(record, text, 0)
        os.ftruncate(record, len(text))
    finally:
        os.close(record)
