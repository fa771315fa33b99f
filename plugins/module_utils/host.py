# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A host: whether it takes new instances, and of a cluster member whether its own are on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .converge import Domain, converge
from .cordon import CORDON
from .errors import NotFound, Refused
from .steps import Api, Step

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


def view(host: Host) -> dict[str, Any]:
    """A host as results and diffs show it."""
    shown = {"server": host.server, "cordoned": bool(host.cordon), "reason": host.cordon or None}
    return {**shown, "member": host.member, "status": host.status} if host.member else shown


def read(on: Api, wanted: Wanted) -> Host:
    """The host as it is."""
    if not on.environment.get("server_clustered"):
        return Host(on.name, cordon=on.get("")["config"].get(CORDON, ""))
    names = tuple(sorted(url.rsplit("/", 1)[1] for url in on.get("cluster/members")))
    name = wanted.member or on.environment["server_name"]
    if name not in names:
        return Host(on.name, members=names)
    member = on.get(f"cluster/members/{name}")
    config = member["config"] or {}
    return Host(on.name, name, config.get(CORDON, ""), config.get(SCHEDULER, ""), member["status"].lower(), names)


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
        found = on.find_tagged(f"cluster/members/{self.member}")
        if found is None:
            raise NotFound(f"{self.member} is no longer a member of {on.name}")
        data, etag = found
        config = {key: value for key, value in (data["config"] or {}).items() if key not in (CORDON, SCHEDULER)}
        if self.reason:
            config |= {CORDON: self.reason, SCHEDULER: "manual"}
        kept = {key: data[key] for key in ("description", "roles", "failure_domain", "groups") if key in data}
        on.put(f"cluster/members/{self.member}", {**kept, "config": config}, etag)


@dataclass(frozen=True)
class ClusterState:
    """Have the cluster evacuate a member, or bring its instances back. ``action``: evacuate or restore."""

    member: str
    action: str
    mode: str = ""

    @property
    def text(self) -> str:
        return f"{self.action} {self.member}" + (f" ({self.mode})" if self.mode else "")

    def effect(self, host: Host) -> Host:
        return replace(host, status={"evacuate": "evacuated", "restore": "online"}[self.action])

    def run(self, on: Api) -> None:
        body = {"action": self.action, **({"mode": self.mode} if self.mode else {})}
        on.post(f"cluster/members/{self.member}/state", body)


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
        return [] if host.status == "evacuated" else [ClusterState(host.member, "evacuate", wanted.action)]
    return [ClusterState(host.member, "restore")] if host.status == "evacuated" else []


HOST: Domain[Api, Wanted, Host] = Domain(
    kind="host",
    settle=lambda on, wanted: on.settle(f"cluster/members/{wanted.member}"),
    read=read,
    plan=plan,
    view=view,
    report=lambda _wanted, _host: {},
    confirm=lambda _on, _wanted, host: host,
)


def remaining(on: Api, member: str) -> list[dict[str, str]]:
    """The instances of all projects that are still on a member."""
    return [
        {"name": data["name"], "project": data["project"], "status": data["status"]}
        for data in on.get("instances", recursion=1, **{"all-projects": "true"})
        if data["location"] == member
    ]


def converge_host(on: Api, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Bring a host to the state that a task's validated parameters declare; a module's result."""
    wanted = Wanted(params["state"], params["reason"], params["member"] or "", params["evacuation"] or "")
    result = converge(HOST, on, wanted, check)
    # The server stops those that it cannot move, and says nothing of them.
    return {**result, "remaining": remaining(on, result["host"]["member"])} if wanted.state == "evacuated" else result
