# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The log of a console."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .console import Console, Seat
from .errors import NotFound, OperationFailed
from .steps import Api

NOTHING = "no such file or directory"
"""So LXD 5.0 answers for a running container that said nothing since it was last asked (instanceConsoleLogGet, where
liblxc has ENODATA), and for one that never ran."""


@dataclass
class Desk:
    """A server, and what came out of the consoles of this run, for the result."""

    api: Api
    out: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Clear:
    """Empty the log, which is read before. One step: the result has what is gone."""

    wanted: Console

    @property
    def text(self) -> str:
        return f"clear the console log of {self.wanted.instance}"

    def effect(self, seat: Seat) -> Seat:
        return seat

    def run(self, on: Desk) -> None:
        on.out["log"] = read_log(on.api, self.wanted)
        on.api.delete(f"{self.wanted.path}/console")


def read_log(on: Api, wanted: Console) -> str:
    """The log as the server gives it: of a running container, LXD 5.0 and Incus 6.0 give each line once."""
    try:
        return fetched(on, f"{wanted.path}/console").decode("utf-8", "replace")
    except NotFound:
        return ""
    except OperationFailed as error:
        if NOTHING not in error.message:
            raise
        return ""


def fetched(on: Api, path: str, query: Mapping[str, str] | None = None) -> bytes:
    """A raw body."""
    with on.download(path, **(query or {})) as (_headers, pieces):
        return b"".join(pieces)
