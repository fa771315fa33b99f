# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured, and how each side does it."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from integration.lab_host import LabHost
from lab import control_groups

from bench.contest import OURS, Contest
from bench.measure import SideFailed, Spent, command, playbook, timed

PEER = "community.general"
AS_MODULE = "lxdops.compute as a module"
CLIENT = "lxc"
FLOOR = "an empty playbook and one GET"
BY_EXPRESSION = "lxdops.compute, instances by an expression"
SAME_ARGUMENTS = "the same with a task that takes our arguments and does nothing"
TASKS, ITEMS = 5, 10
"""Tasks of one play, and items of one loop, of which one is measured."""
ONE = "one instance, unchanged"
LIFE_OFTEN, GROWN_OFTEN = 2, 5
PEER_STOPS = 10
"""How many of its instances community.general stops and deletes: a loop, so that each takes as long as any other."""

Task = dict[str, Any]
Numbers = dict[str, float]


class Sides:
    """The tasks of both collections, and the client's commands, for one host."""

    def __init__(self, host: LabHost) -> None:
        self.host = host
        self.endpoint = host.facts["lab_socket"]

    def ours(self, label: str, /, module: str = "lxd_instance", **options: Any) -> Task:
        """One of our tasks."""
        return {"name": label, f"lxdops.compute.{module}": {"endpoint": self.endpoint, **options}}

    def peers(self, label: str, /, **options: Any) -> Task:
        """One of community.general's tasks."""
        own = {"url": f"unix:{self.endpoint}", "ignore_volatile_options": True, "timeout": 300}
        return {"name": label, "community.general.lxd_container": {**own, **options}}

    def client(self, *lines: str) -> Spent:
        """A shell script of the product's client."""
        return command(["sh", "-euc", "\n".join(lines)], self.host.client_environment)

    def expect(self, status: str, names: Sequence[str]) -> None:
        """Raises SideFailed unless the host has exactly these instances running, or stopped; `absent`: none."""
        found = {one["name"]: one["status"].lower() for one in self.host.call("GET", "instances?recursion=1")}
        shown = {name: found.get(name, "absent") for name in names}
        if set(shown.values()) != {status}:
            raise SideFailed(f"expected {status}: found {shown}")


def unchanged_one(sides: Sides) -> Contest:
    """One running instance that is as declared: a task, and an item of a loop."""
    name, config = "one", {"user.bench": "1"}

    def prepare() -> None:
        sides.host.given(name, power="running", config=config)

    def turn(task: Task) -> Callable[[], Numbers]:
        def measured() -> Numbers:
            loop = {**task, "name": "loop", "loop": list(range(ITEMS))}
            took = timed([*[task] * TASKS, loop])
            return {"s a task": median(took["task"]), "s a loop item": took["loop"][0] / ITEMS}

        return measured

    return Contest(
        ONE,
        {
            OURS: turn(sides.ours("task", name=name, config=config)),
            AS_MODULE: turn(sides.ours("task", name=name, config=config, execution="host")),
            PEER: turn(sides.peers("task", name=name, config=config, state="started")),
        },
        prepare,
    )


def many_names(count: int) -> list[str]:
    """The names of stopped instances."""
    return [f"still-{number:04}" for number in range(count)]


def project_of(count: int) -> str:
    """A fleet's project: a listing shows this fleet alone."""
    return f"fleet{count}"


def filled(host: LabHost, count: int) -> None:
    """So many instances of nothing, stopped, in a project of their own."""
    project = project_of(count)
    if f"/1.0/projects/{project}" not in host.call("GET", "projects"):
        shared = {"features.images": "false", "features.profiles": "false"}
        host.call("POST", "projects", {"name": project, "config": shared})
    there = set(host.instances(project))
    for name in many_names(count):
        if name not in there:
            body = {"name": name, "source": {"type": "none"}, "config": {"user.bench": "1"}, "type": "container"}
            host.call("POST", f"instances?project={project}", body)


def fleet_task(sides: Sides, count: int) -> Task:
    """All of them in one task of ours."""
    return sides.ours(
        "task",
        module="lxd_instances",
        project=project_of(count),
        defaults={"state": "stopped", "config": {"user.bench": "1"}},
        instances=[{"name": name} for name in many_names(count)],
    )


def fleet_by_expression(sides: Sides, count: int) -> Task:
    """The same, where the playbook does not list the instances, but makes them of their names, as of an inventory's."""
    task = fleet_task(sides, count)
    options = {
        **task["lxdops.compute.lxd_instances"],
        "instances": "{{ names | map('community.general.dict_kv', 'name') }}",
    }
    names = f"{{{{ query('sequence', 'start=0 end={count - 1} format=still-%04d') }}}}"
    return {**task, "lxdops.compute.lxd_instances": options, "vars": {"names": names}}


def many_title(count: int) -> str:
    """The contest's."""
    return f"{count} instances, unchanged"


def unchanged_many(sides: Sides, count: int) -> Contest:
    """Many instances that are as declared, in one task, in a loop, and asked for by the client."""
    project = project_of(count)
    declared: Task = {"name": "{{ item }}", "state": "stopped", "config": {"user.bench": "1"}, "project": project}

    def turn(task: Task) -> Callable[[], Numbers]:
        def measured() -> Numbers:
            return {"s": timed([task])["task"][0]}

        return measured

    def client() -> Numbers:
        asked = [f"lxc query '/1.0/instances/{name}?project={project}'" for name in many_names(count)]
        return {"s": sides.client(*asked).wall}

    loop = {"loop": many_names(count)}
    return Contest(
        many_title(count),
        {
            OURS: turn(fleet_task(sides, count)),
            f"{OURS}, a loop": turn({**sides.ours("task", **declared), **loop}),
            PEER: turn({**sides.peers("task", **declared), **loop}),
            CLIENT: client,
        },
        lambda: filled(sides.host, count),
    )


def growth_title(count: int) -> str:
    """The contest's."""
    return f"ansible-playbook, {count} instances unchanged"


def growth(sides: Sides, count: int, often: int) -> Contest:
    """The whole of ansible-playbook for unchanged instances, against the bare listing and a playbook that is empty, or
    says as much and does nothing: what Ansible itself takes."""
    ours = fleet_task(sides, count)
    nothing = {"name": "task", "nothing": ours["lxdops.compute.lxd_instances"]}

    def numbers(task: Task) -> Numbers:
        spent = playbook([task])
        return {"s": spent.wall, "s of processors": spent.processors, "MiB": spent.memory}

    def with_listing(task: Task) -> Numbers:
        took = numbers(task)
        began = time.monotonic()
        sides.host.call("GET", f"instances?recursion=1&project={project_of(count)}")
        return {**took, "s": took["s"] + time.monotonic() - began}

    return Contest(
        growth_title(count),
        {
            OURS: lambda: numbers(ours),
            BY_EXPRESSION: lambda: numbers(fleet_by_expression(sides, count)),
            FLOOR: lambda: with_listing({"name": "task", "ansible.builtin.meta": "noop"}),
            SAME_ARGUMENTS: lambda: with_listing(nothing),
        },
        lambda: filled(sides.host, count),
        often=often,
    )


def server_seconds(host: LabHost) -> float:
    """Seconds of processors that the host's daemon and guests have used."""
    for hierarchy in control_groups.hierarchies():
        group = control_groups.MOUNT / hierarchy / control_groups.host_group(host.lab, host.number)
        if (group / "cpuacct.usage").exists():
            return int((group / "cpuacct.usage").read_text()) / 1e9
        if (group / "cpu.stat").exists():
            for line in (group / "cpu.stat").read_text().splitlines():
                if line.startswith("usage_usec"):
                    return int(line.split()[1]) / 1e6
    raise SideFailed("no control group tells what processors the host has used")


def life_title(count: int) -> str:
    """The contest's."""
    return f"{count} instances"


def each(move: str) -> str:
    """What is measured of a move: the peer does not stop and delete all."""
    return f"s an instance to {move}"


def share(move: str) -> str:
    """What else is measured of it."""
    return f"share of the processors that the server had, {move}"


def cost(move: str) -> str:
    """And how much work it is for the server."""
    return f"s of the server's processors an instance to {move}"


def life(sides: Sides, count: int, processors: int) -> Contest:
    """Instances created and started, stopped, and deleted."""
    names = [f"life-{number:02}" for number in range(count)]
    moves = (("create and start", "running"), ("stop", "stopped"), ("delete", "absent"))

    def turn(acts: Sequence[Callable[[], float]], some: Sequence[str] = names) -> Callable[[], Numbers]:
        def measured() -> Numbers:
            numbers = {}
            for (move, status), act in zip(moves, acts, strict=True):
                whom = names if status == "running" else some
                before = server_seconds(sides.host)
                seconds = act()
                used = server_seconds(sides.host) - before
                numbers[each(move)] = seconds / len(whom)
                numbers[share(move)] = used / seconds / processors
                numbers[cost(move)] = used / len(whom)
                sides.expect(status, whom)
            return numbers

        return measured

    def cleared() -> None:
        with ThreadPoolExecutor(8) as several:
            list(several.map(sides.host.remove, names))

    def played(task: Task) -> Callable[[], float]:
        return lambda: timed([task])["task"][0]

    def fleet(**defaults: Any) -> Callable[[], float]:
        items = [{"name": name} for name in names]
        return played(sides.ours("task", module="lxd_instances", defaults=defaults, instances=items))

    def peer(whom: Sequence[str], **options: Any) -> Callable[[], float]:
        return played({**sides.peers("task", name="{{ item }}", **options), "loop": list(whom)})

    def client(words: str) -> Callable[[], float]:
        return lambda: sides.client(*[f"lxc {words.format(name)}" for name in names]).wall

    return Contest(
        life_title(count),
        {
            OURS: turn(
                [
                    fleet(source={"alias": "tiny"}),
                    fleet(state="stopped", force=True),
                    fleet(state="absent"),
                ]
            ),
            CLIENT: turn([client("launch tiny {}"), client("stop --force {}"), client("delete {}")]),
            PEER: turn(
                [
                    peer(names, state="started", source={"type": "image", "alias": "tiny"}),
                    peer(names[:PEER_STOPS], state="stopped", force_stop=True),
                    peer(names[:PEER_STOPS], state="absent"),
                ],
                names[:PEER_STOPS],
            ),
        },
        cleared,
        often=LIFE_OFTEN,
    )
