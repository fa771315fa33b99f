# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A host: whether it takes new instances, and of a cluster member whether its own are on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .config_keys import CORDON
from .converge import Domain, converge
from .errors import Refused
from .host_cluster import EVACUATING, OPERATION, crash_of, evacuate, instances_on, remaining, rewrite_member
from .steps import Api, Step

MODES = "clustering_evacuation_mode"
SCHEDULER = "scheduler.instance"
"""Key of a cluster member's config: `manual` keeps LXD's own scheduler from placing instances there."""


@dataclass(frozen=True)
class Wanted:
    """``state``: cordoned, uncordoned, evacuated or restored; ``action``: how the server evacuates."""

    state: str
    reason: str = "cordoned"
    member: str = ""
    action: str = ""


@dataclass(frozen=True)
class Host:
    """A host as it is; ``status`` is a cluster member's, as the server names it."""

    server: str
    member: str = ""
    cordon: str = ""
    scheduler: str = ""
    status: str = ""
    members: tuple[str, ...] = ()
    cut_short: bool = False
    """Whether an evacuation of ours was, so that what ran may not run yet."""
    modes: bool = False
    """Whether the server lets a request say how it evacuates."""
    crashing: tuple[str, ...] = ()
    """Instances on whose devices the server's own evacuation crashes; read where that is asked for."""


def view(host: Host) -> dict[str, Any]:
    """A host as results and diffs show it."""
    shown = {"server": host.server, "cordoned": bool(host.cordon), "reason": host.cordon or None}
    return {**shown, "member": host.member, "status": host.status} if host.member else shown


def member_of(on: Api, wanted: Wanted) -> str:
    """The name of the member that is meant."""
    return wanted.member or str(on.environment["server_name"])


def read(on: Api, wanted: Wanted) -> Host:
    """The host as it is."""
    if not on.environment.get("server_clustered"):
        return Host(on.name, cordon=on.get("")["config"].get(CORDON, ""))
    names = tuple(sorted(url.rsplit("/", 1)[1] for url in on.get("cluster/members")))
    name = member_of(on, wanted)
    if name not in names:
        return Host(on.name, members=names)
    member = on.get(f"cluster/members/{name}")
    config = member["config"] or {}
    cordon, scheduler, cut_short = config.get(CORDON, ""), config.get(SCHEDULER, ""), EVACUATING in config
    host = Host(on.name, name, cordon, scheduler, member["status"].lower(), names, cut_short)
    if wanted.state != "evacuated" or host.status == "evacuated":
        return host
    found = tuple(text for data in instances_on(on, name) for text in crash_of(data))
    return replace(host, modes=on.has(MODES), crashing=found)


@dataclass(frozen=True)
class Cordon:
    """Set or take off the cordon."""

    member: str
    reason: str

    @property
    def text(self) -> str:
        what = f"cordon: {self.reason}" if self.reason else "take off the cordon"
        return f"{self.member}: {what}" if self.member else what

    def effect(self, host: Host) -> Host:
        return replace(host, cordon=self.reason, scheduler=("manual" if self.reason else "all") if self.member else "")

    def run(self, on: Api) -> None:
        if not self.member:
            on.patch("", {"config": {CORDON: self.reason}})
            return
        cordon = {CORDON: self.reason, SCHEDULER: "manual"} if self.reason else {CORDON: None, SCHEDULER: None}
        rewrite_member(on, self.member, cordon)


@dataclass(frozen=True)
class Evacuate:
    """Have the cluster evacuate a member."""

    member: str
    mode: str = ""

    @property
    def text(self) -> str:
        return f"evacuate {self.member}" + (f" ({self.mode})" if self.mode else "")

    def effect(self, host: Host) -> Host:
        return replace(host, status="evacuated", cut_short=False)

    def run(self, on: Api) -> None:
        evacuate(on, self.member, self.mode)


@dataclass(frozen=True)
class Restore:
    """Have the cluster bring a member's instances back."""

    member: str

    @property
    def text(self) -> str:
        return f"restore {self.member}"

    def effect(self, host: Host) -> Host:
        return replace(host, status="online")

    def run(self, on: Api) -> None:
        on.post(f"cluster/members/{self.member}/state", {"action": "restore"})


def plan(wanted: Wanted, host: Host) -> list[Step[Host, Api]]:
    """The steps, or Refused."""
    moves = wanted.state in ("evacuated", "restored")
    if (moves or wanted.member) and not host.member:
        found = f"its members are {', '.join(host.members)}" if host.members else "it is no cluster"
        nearest = "" if host.members else "; between servers by themselves lxd_migration moves instances"
        raise Refused(
            f"{host.server}: {wanted.member or wanted.state}: {found}{nearest}",
            option="member" if wanted.member else "state",
            allowed=host.members,
        )
    if wanted.state == "cordoned":
        unlike = host.cordon != wanted.reason or (host.member and host.scheduler != "manual")
        return [Cordon(host.member, wanted.reason)] if unlike else []
    if wanted.state == "uncordoned":
        return [Cordon(host.member, "")] if host.cordon else []
    if wanted.state == "evacuated":
        _check_evacuation(wanted, host)
        there = host.status == "evacuated" and not host.cut_short
        return [] if there else [Evacuate(host.member, wanted.action)]
    return [Restore(host.member)] if host.status == "evacuated" else []


def _check_evacuation(wanted: Wanted, host: Host) -> None:
    where = f"{host.member} of {host.server}"
    if host.crashing:
        raise Refused(
            f"{where}: the server's own evacuation crashes on a disk that is of no pool, as {', '.join(host.crashing)} "
            "has: set cluster.evacuate of each to stop or migrate, or move what can move by lxd_drain with member",
            option="state",
            found=host.crashing,
        )
    if wanted.action and host.status != "evacuated" and not host.modes:
        raise Refused(
            f"{where}: evacuation: found {wanted.action}, but this server does what cluster.evacuate of each says "
            f"(it has no API extension {MODES}): set it there, or leave evacuation out",
            option="evacuation",
            found=wanted.action,
        )


HOST: Domain[Api, Wanted, Host] = Domain(
    kind="host",
    settle=lambda on, wanted: wanted.state in ("evacuated", "restored") and on.settle("", OPERATION),
    read=read,
    plan=plan,
    view=view,
    report=lambda _wanted, _host: {},
    confirm=lambda _on, _wanted, host: host,
)


def converge_host(on: Api, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Bring a host to the state that a task's validated parameters declare; a module's result."""
    wanted = Wanted(params["state"], params["reason"], params["member"] or "", params["evacuation"] or "")
    result = converge(HOST, on, wanted, check)
    # The server stops those that it cannot move, and says nothing of them.
    return {**result, "remaining": remaining(on, result["host"]["member"])} if wanted.state == "evacuated" else result
