# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The other hosts that a task names: their connection options, and connections to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from .errors import Refused, Unreachable
from .front import connected
from .lxd import Server
from .migration_params import target_params

TARGET = ("endpoint", "client_cert", "client_key", "server_cert", "server_fingerprint", "project")

Reach = Callable[[str, str], Server]
"""The connection to a target, by its name, and to a project there. Raises Unreachable or Refused."""


def check_targets(targets: Mapping[str, Any]) -> None:
    """Refuses what is no connection to a host. A trust token would be shown: this takes none."""
    for name, options in targets.items():
        given = set(options) if isinstance(options, Mapping) else set()
        if "endpoint" not in given or given - set(TARGET):
            raise Refused(
                f"targets.{name}: found {', '.join(sorted(given)) or 'no options'}; endpoint is required, and allowed "
                f"besides are {', '.join(TARGET[1:])}",
                option=f"targets.{name}",
                allowed=TARGET,
            )


@contextmanager
def reaching(params: Mapping[str, Any], environ: Mapping[str, str], check: bool) -> Iterator[Reach]:
    """Connections to the targets of a task, each made when it is first asked for, and kept to the end."""
    kept: dict[tuple[str, str], Server] = {}
    silent: dict[str, Unreachable] = {}
    with ExitStack() as stack:

        def reach(target: str, project: str) -> Server:
            if target in silent:
                raise silent[target]
            if (target, project) not in kept:
                options = {**params, "target": {**params["targets"][target], "project": project}}
                try:
                    kept[target, project] = stack.enter_context(connected(target_params(options), environ, check))
                except Unreachable as error:
                    silent[target] = error
                    raise
            return kept[target, project]

        yield reach
