# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two front ends, the module and the controller's own process: the same results, and each where it should be."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.case import Lane
from integration.lab_host import CommandFailed, LabHost
from integration.task import MODULE, play, task

NAME = "front"
FLEET = "lxdops.compute.lxd_instances"
TINY = {"alias": "tiny"}
NO_PYTHON = "/nonexistent/python"
"""An interpreter with which a module fails and the controller's own process does not."""


@pytest.fixture(autouse=True)
def _cleaned(lxd: LabHost) -> Iterator[None]:
    yield
    lxd.remove(NAME, *(f"{NAME}{number}" for number in range(3)))


@pytest.mark.parametrize(
    ("params", "check"),
    [
        pytest.param({"source": TINY, "config": {"limits.cpu": 1}}, True, id="creation told by check mode"),
        pytest.param(
            {"source": TINY, "cloud_init": {"user_data": {"password": "geheim"}}},
            True,
            id="a secret",
            marks=pytest.mark.thorough,
        ),
        pytest.param({"state": "absent", "stop_timeout": "5"}, False, id="nothing to do, a number as text"),
        pytest.param({"source": {"alias": "nope"}}, False, id="refused", marks=pytest.mark.thorough),
        pytest.param({"nama": "x"}, False, id="unknown option"),
        pytest.param({"root": True}, False, id="a bool for a dictionary"),
        pytest.param({"stop_timeout": "soon"}, False, id="not a number", marks=pytest.mark.thorough),
        pytest.param({"endpoint": "/nowhere/unix.socket"}, False, id="no such socket", marks=pytest.mark.thorough),
    ],
)
def test_both_give_the_same_result(lxd: LabHost, params: dict[str, Any], check: bool) -> None:
    same(MODULE, {**lxd.unix, "name": NAME} | params, check)


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"defaults": {"source": TINY}}, id="creation told by check mode"),
        pytest.param({"defaults": {"state": "absent"}}, id="nothing to do", marks=pytest.mark.thorough),
        pytest.param(
            {"defaults": {"nama": "x"}, "endpoint": "/nowhere/unix.socket"}, id="two faults, one of the server"
        ),
        pytest.param({"endpoint": "/nowhere/unix.socket"}, id="no such socket"),
        pytest.param({"project": "nope"}, id="no such project", marks=pytest.mark.thorough),
        pytest.param({"wait_timeout": "soon"}, id="not a number", marks=pytest.mark.thorough),
    ],
)
def test_both_give_the_same_result_for_a_fleet(lxd: LabHost, params: dict[str, Any]) -> None:
    same(FLEET, {**lxd.unix, "instances": [{"name": NAME}]} | params, check=True)


def same(module: str, params: dict[str, Any], check: bool) -> None:
    given = {key: value for key, value in params.items() if value is not None}
    results = [
        task({**given, "execution": execution}, check=check, module=module) for execution in ("controller", "host")
    ]
    for result in results:
        # Which of the two it was, and what only one of them sees.
        for key in ("invocation", "ansible_facts", "exception", "module_stderr", "module_stdout", "_ansible_no_log"):
            result.pop(key, None)
    assert results[0] == results[1]
    assert "geheim" not in str(results)


@pytest.fixture
def run_play(lxd: LabHost, tmp_path: Path) -> Callable[..., str]:
    """Run a play against the host; what it printed, or CommandFailed with it."""

    def run(*tasks: dict[str, Any], python: str = NO_PYTHON, **keywords: Any) -> str:
        one = {"hosts": "all", "module_defaults": {"group/lxdops.compute.lxd": dict(lxd.unix)}, "tasks": tasks}
        done = play([one | keywords], tmp_path, {"ansible_python_interpreter": python}, inventory="one,two,")
        if done.returncode:
            raise CommandFailed(done.stdout)
        return done.stdout

    return run


ABSENT = {MODULE: {"name": NAME, "state": "absent"}}


@pytest.mark.parametrize("strategy", ["linear", pytest.param("free", marks=pytest.mark.thorough)])
def test_without_a_python_on_the_host(run_play: Callable[..., str], strategy: str) -> None:
    """Plain, in a loop, delegated, with an own default, and with several hosts at once."""
    output = run_play(
        ABSENT,
        {MODULE: {"name": f"{NAME}{{{{ item }}}}", "state": "absent"}, "loop": [0, 1, 2]},
        ABSENT | {"delegate_to": "localhost", "vars": {"ansible_connection": "local"}},
        {MODULE: {"name": NAME}, "module_defaults": {MODULE: {"state": "absent"}}},
        strategy=strategy,
    )
    assert output.count("ok=4 ") == 2


@pytest.mark.thorough
def test_the_tasks_environment_counts(run_play: Callable[..., str], lxd: LabHost) -> None:
    environment = {"LXD_ENDPOINT": lxd.unix["endpoint"]}
    assert "failed=0" in run_play(ABSENT | {"environment": environment}, module_defaults={})
    with pytest.raises(CommandFailed, match=r"/nowhere: there is no such socket"):
        run_play(ABSENT | {"environment": {"LXD_ENDPOINT": "/nowhere"}}, module_defaults={})


@pytest.mark.parametrize(
    "keywords",
    [
        pytest.param({"become": True, "become_method": "ansible.builtin.su"}, id="become", marks=pytest.mark.thorough),
        pytest.param({"async": 60, "poll": 1}, id="async", marks=pytest.mark.thorough),
        pytest.param({MODULE: ABSENT[MODULE] | {"execution": "host"}}, id="asked for"),
        pytest.param(
            {"connection": "lxdops.compute.lxd", "vars": {"ansible_lxd_endpoint": "/nowhere"}}, id="elsewhere"
        ),
    ],
)
def test_what_only_a_module_can_do_is_done_by_it(run_play: Callable[..., str], keywords: dict[str, Any]) -> None:
    with pytest.raises(CommandFailed, match=f"{NO_PYTHON}|no such socket"):
        run_play(ABSENT | keywords)


@pytest.mark.thorough
def test_async_ends_as_declared(run_play: Callable[..., str], lxd: LabHost) -> None:
    created = {MODULE: {"name": NAME, "source": TINY, "state": "present"}, "async": 120, "poll": 1, "run_once": True}
    assert "changed=1" in run_play(created, python=sys.executable)
    assert lxd.query(f"instances/{NAME}")["status"] == "Stopped"


@pytest.mark.thorough
def test_the_controllers_process_by_force_whatever_the_connection(run_play: Callable[..., str]) -> None:
    forced = {MODULE: ABSENT[MODULE] | {"execution": "controller"}, "become": True, "connection": "ssh"}
    assert "failed=0" in run_play(forced)
    with pytest.raises(CommandFailed, match="which only a module can do"):
        run_play(forced | {"async": 60, "poll": 1})


@pytest.mark.thorough
def test_a_lane_may_choose(lxd: LabHost) -> None:
    with pytest.raises(AssertionError, match="value of execution must be one of: auto, controller, host, got: here"):
        Lane(lxd, lxd.unix | {"execution": "here"}).done(name=NAME, state="absent")


@pytest.mark.parametrize(
    ("callback", "lines"), [("default", 2), pytest.param("oneline", 0, marks=pytest.mark.thorough)]
)
def test_progress_is_told_but_in_a_terse_callback(
    run_play: Callable[..., str], monkeypatch: pytest.MonkeyPatch, callback: str, lines: int
) -> None:
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", callback)
    instances = [{"name": f"{NAME}{number}", "source": TINY, "state": "present"} for number in range(2)]
    printed = run_play({"lxdops.compute.lxd_instances": {"instances": instances}, "run_once": True})
    told = re.findall(rf"^\[lxdops\.compute\.lxd_instances\] [12]/2 \d+ s {NAME}[01]: create", printed, re.MULTILINE)
    assert len(told) == lines, printed
