# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The programs that os-brick runs, by its hook for that: no secret is an argument, what cannot be reached is told
within seconds, and what a program said when it failed is kept, since os-brick often drops it."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from .iscsi_node import SECRETS, write_setting

SECONDS_TO_REACH = 5.0
SECONDS_TO_RUN = 150.0
NFS_PORT = 2049
SEARCHING = "grep "
"""How os-brick looks for a port of Fibre Channel in two places, of which one has it (linuxfc.py)."""
UNREACHABLE = 8
"""iscsiadm's exit code for a connection that failed."""


class Programs:
    """Runs a program. ``execute``: os-brick's own way to; ``failure``: the error that this raises."""

    def __init__(self, execute: Callable[..., tuple[str, str]], failure: type[Exception]) -> None:
        self._execute = execute
        self._failure = failure
        self.said: list[str] = []
        self._logins: dict[tuple[str, ...], Exception] = {}

    def begin(self) -> None:
        """For a verb of its own: what failed before is forgotten."""
        self.said.clear()
        self._logins.clear()

    def __call__(self, *words: str, **options: Any) -> tuple[str, str]:
        name, value = (_option(words, "-n"), _option(words, "-v")) if words[0] == "iscsiadm" else ("", "")
        if name in SECRETS:
            write_setting(_option(words, "-T"), _option(words, "-p"), name, value)
            return "", ""
        if "auth.password" in name:
            self._fail(
                "iscsiadm takes the secret of a discovery as an argument only: name all portals instead, as "
                "target_portals, target_iqns and target_luns"
            )
        if words in self._logins:
            # iscsid has tried it several times by itself, and os-brick would have it do so three times more.
            raise self._logins[words]
        where = _where(words)
        if where:
            self._reach(*where)
        try:
            return self._execute(*words, **{"timeout": SECONDS_TO_RUN, **options})
        except self._failure as error:
            said = getattr(error, "stderr", None) or getattr(error, "stdout", None)
            if said and not words[0].startswith(SEARCHING):
                self.said.append(str(said).strip())
            if "--login" in words:
                self._logins[words] = error
            raise

    def _reach(self, address: str, port: int) -> None:
        try:
            socket.create_connection((address, port), SECONDS_TO_REACH).close()
        except OSError as error:
            self._fail(f"{address} port {port} cannot be reached: {error.strerror or error}")

    def _fail(self, words: str) -> NoReturn:
        self.said.append(words)
        raise self._failure(None, words, UNREACHABLE)


def _where(words: Sequence[str]) -> tuple[str, int] | None:
    """The address that a program is about to connect to, and would for minutes."""
    if words[0] == "iscsiadm" and "--login" in words:
        address, _colon, port = _option(words, "-p").split(",")[0].rpartition(":")
        return address.strip("[]"), int(port)
    if words[:2] == ("nvme", "connect") and _option(words, "-t") == "tcp":
        return _option(words, "-a"), int(_option(words, "-s"))
    if words[:3] == ("mount", "-t", "nfs") and not re.search(r"\bport=", " ".join(words)):
        return words[-2].rpartition(":/")[0].strip("[]"), NFS_PORT
    return None


def _option(words: Sequence[str], name: str) -> str:
    return words[words.index(name) + 1] if name in words else ""
