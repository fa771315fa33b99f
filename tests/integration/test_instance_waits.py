# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""wait_for: each condition is awaited, and a wait that fails says what is missing and what the console says."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.case import Lane
from integration.lab_host import LabHost, run
from integration.task import command

NAME = "wait"
TINY = {"alias": "tiny"}
RESULT = "/run/cloud-init/result.json"


@pytest.fixture(autouse=True)
def _cleaned(lane: Lane) -> Iterator[None]:
    yield
    lane.host.remove(NAME)


def addresses(host: LabHost) -> list[str]:
    network = host.query(f"instances/{NAME}/state")["network"] or {}
    return [entry["address"] for entry in network["eth0"]["addresses"] if entry["scope"] == "global"]


@pytest.mark.parametrize("condition", [pytest.param("ipv4", marks=pytest.mark.thorough), "ipv4@eth0"])
def test_an_address(lane: Lane, condition: str) -> None:
    lane.done(name=NAME, source=TINY, wait_for=["running", "agent", condition])
    assert addresses(lane.host) != []


@pytest.mark.thorough
def test_it_is_also_awaited_when_nothing_changes(lane: Lane) -> None:
    lane.host.make(NAME, power="running")
    assert not lane.done(name=NAME, wait_for=["ipv4"])["changed"]
    assert addresses(lane.host) != []


def test_check_mode_waits_for_nothing(lane: Lane) -> None:
    assert lane.task(check=True, name=NAME, source=TINY, wait_for=["ipv4@eth7"])["changed"]


@pytest.mark.thorough
def test_a_port(lane: Lane) -> None:
    """The guest's network is reached from its host only: that task runs there."""
    host = lane.host
    host.make(NAME, power="running")
    host.client("exec", NAME, "--", "sh", "-c", "(sleep 2; setsid nc -ll -p 2222 -e true) >/dev/null 2>&1 </dev/null &")
    params = {**host.unix, "name": NAME, "wait_for": ["port:2222@eth0"], "wait_timeout": 60}
    run = command(params, inside=host.inside)
    output, _error = run.communicate(timeout=120)
    assert run.returncode == 0, output


def test_a_wait_that_times_out_fails_with_the_last_console_lines(lane: Lane) -> None:
    result = lane.task(name=NAME, source=TINY, wait_for=["ipv4", "ipv4@eth7"], wait_timeout=25)
    assert result["error"] == "TimedOut"
    assert "wait_for ipv4@eth7: not within wait_timeout (25 seconds): no ipv4@eth7 address" in result["msg"]
    assert result["addresses"] == addresses(lane.host)
    assert any("tiny: ready" in line for line in result["console"])
    assert "tiny: ready" in result["msg"]
    assert result["steps_done"] == [f"create container {NAME} from image tiny", f"start {NAME}"]


def test_one_that_stops_meanwhile_is_not_waited_for_any_longer(lane: Lane) -> None:
    lane.host.make(NAME, power="running")
    lane.host.client("exec", NAME, "--", "sh", "-c", "(sleep 2; kill -PWR 1) >/dev/null 2>&1 </dev/null &")
    result = lane.task(name=NAME, wait_for=["ipv4@eth7"], wait_timeout=100)
    assert result["error"] == "OperationFailed"
    assert "it is Stopped while waited for ipv4@eth7" in result["msg"]
    # The server may still be at work on its end.
    assert lane.done(name=NAME, state="absent")["steps"] == [f"delete {NAME}"]


@pytest.mark.thorough
@pytest.mark.parametrize(("errors", "word"), [([], ""), (["no network"], "cloud-init failed: no network")])
def test_cloud_init(lane: Lane, errors: list[str], word: str) -> None:
    lane.host.make(NAME, power="running")
    lane.host.write(NAME, RESULT, json.dumps({"v1": {"datasource": "none", "errors": errors}}))
    result = lane.task(name=NAME, wait_for=["cloud_init"], wait_timeout=10)
    assert bool(result.get("failed")) is bool(errors), result
    assert word in result.get("msg", "")


@pytest.mark.thorough
def test_cloud_init_that_says_nothing(lane: Lane) -> None:
    lane.host.make(NAME, power="running")
    result = lane.task(name=NAME, wait_for=["cloud_init"], wait_timeout=1)
    assert "cloud-init has written no result yet" in result["msg"]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("condition", "words"), [("ready", "has not said over devlxd"), ("ipv6@eth0", "no ipv6@eth0 address")]
)
def test_what_does_not_come(lane: Lane, condition: str, words: str) -> None:
    lane.host.make(NAME, power="running")
    assert words in lane.task(name=NAME, wait_for=[condition], wait_timeout=1)["msg"]


SAY_READY = """
import http.client, os, socket, sys
os.chdir(f"/proc/{sys.argv[1]}/root/dev/incus")
os.setresuid(*[int(sys.argv[2])] * 3)
connection = http.client.HTTPConnection("guest")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("sock")
connection.request("PATCH", "/1.0", '{"state": "Ready"}')
answer = connection.getresponse()
sys.exit(0 if answer.status == 200 else f"{answer.status} {answer.read()}")
"""


def test_ready(incus_hosts: list[LabHost]) -> None:
    """Incus only: LXD 5.0 has no such status. The guest has no program for this socket, so one of the machine's is sent
    into its process numbers, by which the server tells who speaks."""
    host = incus_hosts[0]
    try:
        host.make(NAME, power="running")
        process = first_process(host)
        owner = Path(f"/proc/{process}").stat().st_uid
        run(["nsenter", f"--target={process}", "--pid", sys.executable, "-c", SAY_READY, str(process), str(owner)])
        Lane(host, host.unix).done(name=NAME, wait_for=["running", "ready"], wait_timeout=10)
    finally:
        host.remove(NAME)


def first_process(host: LabHost) -> int:
    """The instance's process number 1, as the machine numbers it."""
    group = f"lxdops-lab-{host.lab}/host{host.number}/lxc.payload.{NAME}"
    for procs in Path("/sys/fs/cgroup").glob(f"**/{group}/cgroup.procs"):
        for number in procs.read_text().split():
            status = Path(f"/proc/{number}/status").read_text().splitlines()
            if next(line for line in status if line.startswith("NSpid")).split()[-1] == "1":
                return int(number)
    raise AssertionError(f"{NAME} has no first process")
