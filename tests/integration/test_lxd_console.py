# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_console: what a guest says is read, heard and answered; bytes reach a server in it; secrets are shown nowhere."""

import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from integration.case import Lane, proof, same
from integration.console_cases import ROWS, Change
from integration.killed_run import killed
from integration.lab_host import LabHost, run, wait_until
from integration.task import command, play, task
from ws4py.client import WebSocketBaseClient

MODULE = "lxdops.compute.lxd_console"
NAME = "cons"
WORD = "Seven-Sisters-7"
PARTS = ("changed", "steps", "diff", "console")
SHOWING = "Showing console"
LISTEN = 5907
Params = Mapping[str, Any]
LOGIN = [
    {"send": "", "expect": "login: $"},
    {"send": "root", "expect": "[Pp]assword: $"},
    {"secret": WORD, "expect": "# $"},
]
LEAVE = [{"send": "exit", "expect": "login: $"}]


@pytest.fixture(autouse=True, scope="module")
def _guest(lane: Lane) -> Iterator[None]:
    """A running instance, the root of which has a password."""
    lane.host.given(NAME, power="running")
    hashed = run(["openssl", "passwd", "-6", WORD]).strip()
    lane.host.shell(NAME, f"echo 'root:{hashed}:19000:0:99999:7:::' > /etc/shadow")
    yield
    lane.host.remove(NAME)


def console(lane: Lane, check: bool = False, **params: Any) -> dict[str, Any]:
    return task({**lane.connection, "name": NAME, **params}, module=MODULE, check=check)


def done(lane: Lane, **params: Any) -> dict[str, Any]:
    result = console(lane, **params)
    assert not result.get("failed"), result["msg"]
    return result


def showing(host: LabHost) -> list[dict[str, Any]]:
    """The operations that show a console now."""
    running = host.call("GET", "operations?recursion=1").get("running") or []
    return [operation for operation in running if operation["description"] == SHOWING]


def sessions(host: LabHost) -> list[str]:
    """Their ids."""
    return [operation["id"] for operation in showing(host)]


class Client(WebSocketBaseClient):  # type: ignore[misc]
    """A websocket client that is not the collection's."""

    heard = b""

    def received_message(self, message: Any) -> None:
        self.heard += bytes(message.data)

    def hears(self, seconds: float) -> bool:
        """Whether something comes in time; what TLS has decrypted already no select tells."""
        return bool(getattr(self.sock, "pending", int)() or select.select([self.sock], [], [], seconds)[0])

    def asks(self, prompt: bytes) -> bool:
        """Whether a prompt comes when Enter is pressed."""
        self.send(b"\x15\r", binary=True)
        while prompt not in self.heard and self.hears(0.5):
            assert self.once()
        return prompt in self.heard

    def answers(self, line: str, answer: bytes) -> bool:
        """Whether an answer to a line comes before the guest is silent for five seconds."""
        self.heard = b""
        self.send(f"{line}\r".encode(), binary=True)
        while answer not in self.heard and self.hears(5):
            assert self.once()
        return answer in self.heard

    def logs_in(self) -> bool:
        """Whether the name and the password lead to a shell. What is typed while a login begins anew is lost."""
        return self.answers("root", b"assword: ") and self.answers(WORD, b"# ")


@contextmanager
def both(host: LabHost, whole: Mapping[str, str], secrets: Mapping[str, str]) -> Iterator[Client]:
    """Both websockets of a session. The control channel stays until the session has ended: LXD 5.0 may panic else."""
    with session(host, whole, secrets["control"]):
        with session(host, whole, secrets["data"]) as data:
            yield data
            data.send(b" \x15", binary=True)
        wait_until(partial(ended, host, whole["operation"]), "the session has ended")


def ended(host: LabHost, session: str) -> bool:
    """Whether a session that was left has ended: the server sees that nobody listens when the guest says something."""
    host.shell(NAME, "echo > /dev/console")
    return session not in sessions(host)


@contextmanager
def session(host: LabHost, whole: Mapping[str, str], secret: str) -> Iterator[Client]:
    """A websocket of a session."""
    options = {"certfile": host.https["client_cert"], "keyfile": host.https["client_key"]}
    url = f"ws+unix://{whole['socket']}" if whole["socket"] else whole["url"]
    client = Client(url, ssl_options=options, exclude_headers=["origin"])
    client.resource = f"{urlsplit(whole['url']).path}?secret={secret}"
    client.connect()
    client._is_secure = False  # else it reads all that TLS has, and of two frames at once tells the first only
    try:
        yield client
    finally:
        with suppress(OSError):  # the server may have ended it
            client.close()
        client.close_connection()


def end_sessions(lane: Lane, unused: Sequence[Mapping[str, Any]]) -> None:
    """End sessions that nobody has used, as who has opened them: Incus lets nobody else."""
    endpoint = lane.connection["endpoint"]
    secure = endpoint.startswith("https")
    base = endpoint.replace("https", "wss") if secure else "ws://localhost"
    still = sessions(lane.host)
    for operation in (one for one in unused if one["id"] in still):
        fds = operation["metadata"]["fds"]
        url = f"{base}/1.0/operations/{operation['id']}/websocket"
        whole = {"operation": operation["id"], "url": url, "socket": "" if secure else endpoint}
        with both(lane.host, whole, {"control": fds["control"], "data": fds["0"]}) as data:
            # Until then the server may lose what is sent, and only what the guest answers ends a session that was left.
            wait_until(partial(data.asks, b"login: "), "it is asked for a login")
    wait_until(lambda: not sessions(lane.host), "the sessions have ended")


def read(terminal: int) -> bytes:
    """What came to a terminal; nothing when its other end was closed."""
    with suppress(OSError):
        return os.read(terminal, 4096)
    return b""


def typed(words: str, environment: Mapping[str, str]) -> str:
    """What a command shows to somebody at a terminal who presses Enter, until it asks for a login, in 20 seconds."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        ["sh", "-c", words], stdin=its, stdout=its, stderr=its, env=dict(environment), start_new_session=True
    ) as process:
        os.close(its)
        heard, end = b"", time.monotonic() + 20
        while b"login: " not in heard and process.poll() is None and time.monotonic() < end:
            os.write(ours, b"\r")
            # Its own echo comes at once.
            while select.select([ours], [], [], 0.3)[0] and (some := read(ours)):
                heard += some
        os.close(ours)
        os.killpg(process.pid, signal.SIGKILL)
    return heard.decode()


def test_the_log_of_a_stopped_container_is_a_file_and_of_a_running_one_is_read_by_a_run_only(lane: Lane) -> None:
    lane.host.power(NAME, "restart", force=True)
    boot = "tiny: boot"
    wait_until(lambda: "UP" in lane.host.shell(NAME, "ip -o link show lo"), "it has said the first")
    checked = console(lane, type="log", check=True)
    assert (checked["changed"], checked["steps"], "log" in checked) == (False, [], False)
    log = done(lane, type="log", redact=[r"on \S+"])
    assert not log["changed"]
    assert f"{boot} {NAME} ********\n" in log["log"], "check mode took the lines"
    assert "\r" not in log["log"]

    lane.host.power(NAME, "stop", force=True)
    first = done(lane, type="log", tail=1)
    assert done(lane, type="log", tail=1)["log"] == first["log"]
    assert len(first["log"].splitlines()) == 1
    assert boot in done(lane, type="log")["log"]
    would = console(lane, type="log", clear=True, check=True)
    assert (would["changed"], would["steps"]) == (True, [f"clear the console log of {NAME}"])
    cleared = done(lane, type="log", clear=True)
    assert boot in cleared["log"], "it is read before"
    same({part: cleared[part] for part in PARTS}, {part: would[part] for part in PARTS})
    again = done(lane, type="log", clear=True)
    assert (again["changed"], again["log"]) == (False, "")
    lane.host.given(NAME, power="running")


def asked(lane: Lane, port: int) -> str:
    """What a server at a port of the host's loopback address says to a client."""
    words = [*lane.host.inside, "timeout", "20", "busybox", "nc", "127.0.0.1", str(port)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        # It stays until it was answered: the proxy lets go of who has said all.
        with suppress(BrokenPipeError):
            client.stdin.write(b"RFB?\n")
        return client.stdout.readline().decode()


@pytest.mark.parametrize("kind", ["vnc", pytest.param("rdp", marks=pytest.mark.thorough)])
def test_bytes_reach_a_server_in_the_guest(lane: Lane, kind: str) -> None:
    lane.host.shell(
        NAME, "setsid nc -ll -p 5999 -e sh -c 'read -r x; echo heard $x' < /dev/null > /dev/null 2>&1 & true"
    )
    before = lane.host.query(f"instances/{NAME}")
    everything = lane.host.everything()
    params = {"type": kind, "listen_port": LISTEN, "port": 5999}
    checked = console(lane, **params, check=True)
    same(lane.host.everything(), everything)
    made = done(lane, **params)
    same({part: made[part] for part in PARTS}, {part: checked[part] for part in PARTS})
    device = {"type": "proxy", "listen": f"tcp:127.0.0.1:{LISTEN}", "connect": "tcp:127.0.0.1:5999"}
    assert lane.host.query(f"instances/{NAME}")["devices"] == {f"console-{kind}": device}
    assert made["console"]["address"] == f"127.0.0.1:{LISTEN}"
    assert asked(lane, LISTEN) == "heard RFB?\n"

    assert not done(lane, **params)["changed"]
    assert not done(lane, type=kind)["changed"], "what is not named is not touched"
    moved = done(lane, type=kind, listen_port=LISTEN + 1)
    assert moved["steps"] == [f"change the {kind} console of {NAME}: at 127.0.0.1:{LISTEN + 1}, to tcp:127.0.0.1:5999"]
    assert (asked(lane, LISTEN), asked(lane, LISTEN + 1)) == ("", "heard RFB?\n")

    gone = done(lane, type=kind, state="absent")
    assert gone["console"]["address"] is None
    assert not done(lane, type=kind, state="absent")["changed"]
    found = lane.host.query(f"instances/{NAME}")
    assert found["devices"] == before["devices"]
    assert asked(lane, LISTEN + 1) == ""


@pytest.mark.thorough
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_an_option_of_a_running_instance(lane: Lane, row: Sequence[Change]) -> None:
    """Check, apply, again."""
    for params, listens, leads_to in row:
        seen = partial(lane.host.query, f"instances/{NAME}")
        applied, again = proof(partial(console, lane, **params), PARTS, lane.host.everything, seen)
        same(again["console"], applied["console"])
        device = {"type": "proxy", "listen": listens, "connect": leads_to}
        assert seen()["devices"] == ({f"console-{params['type']}": device} if listens else {})


def test_a_script_logs_in_and_runs_a_command(lane: Lane) -> None:
    """By a websocket, as a person would at a terminal; the next conversation finds the prompt again."""
    turns = [*LOGIN, {"send": "echo $((6 * 7)) token=abc", "expect": r"^42 token=abc$"}, *LEAVE]
    checked = console(lane, type="serial", run=turns, check=True)
    assert (checked["changed"], sessions(lane.host), "transcript" in checked) == (True, [], False)
    for _again in range(2):
        heard = done(lane, type="serial", run=turns, redact=["token=[a-z]+"], tail=4)
        same({part: heard[part] for part in PARTS}, {part: checked[part] for part in PARTS})
        assert "42 ********\n" in heard["transcript"]
        assert len(heard["transcript"].splitlines()) == 4
        assert WORD not in str(heard)
    wait_until(lambda: not sessions(lane.host), "the session has ended")


def test_what_is_not_heard_in_time_fails_with_the_last_lines(lane: Lane) -> None:
    turns = [{"send": "", "expect": "login: $"}, {"expect": "never", "timeout": 0.5}]
    failed = console(lane, type="serial", run=turns)
    assert "run, turn 2: never was not heard within 0.5 seconds; it said last: " in failed["msg"]
    assert f"{NAME} login: " in failed["last_lines"][-1]
    assert (failed["error"], failed["turn"]) == ("TimedOut", 2)
    wait_until(lambda: not sessions(lane.host), "the session has ended")


@pytest.mark.thorough
def test_a_guest_that_ends_in_the_middle_is_told(lane: Lane) -> None:
    turns = [*LOGIN, {"send": "touch /root/heard", "expect": "# $"}, {"expect": "never", "timeout": 60}]
    params = {**lane.connection, "name": NAME, "type": "serial", "run": turns}
    with command(params, module=MODULE) as process:
        wait_until(lambda: "heard" in lane.host.shell(NAME, "ls /root"), "the guest is talked to")
        lane.host.power(NAME, "stop", force=True)
        output, _errors = process.communicate(timeout=50)
    assert process.returncode != 0
    said = " ".join(output.split())
    assert "run, turn 5: the console was closed before never was heard; it said last: " in said
    lane.host.given(NAME, power="running")


@pytest.mark.thorough
def test_a_session_that_cannot_be_handed_over_is_not_left_open(lane: Lane, tmp_path: Path) -> None:
    run(["mount", "-t", "tmpfs", "-o", "size=4k", "full", str(tmp_path)])
    try:
        (tmp_path / "all").write_bytes(bytes(4096))
        failed = console(lane, type="serial", dest=str(tmp_path / "session.json"))
        assert f"dest: {tmp_path}/session.json: No space left on device" in failed["msg"]
        assert [file.name for file in tmp_path.iterdir()] == ["all"]
    finally:
        run(["umount", str(tmp_path)])
    wait_until(lambda: not sessions(lane.host), "the session has ended")
    assert not done(lane, type="serial", run=[{"send": "", "expect": "login: $"}]).get("failed")


def test_a_session_is_handed_to_another_client(lane: Lane, tmp_path: Path) -> None:
    """In a file for its owner; that client has the console then, and nobody else."""
    file = tmp_path / "session.json"
    opened = done(lane, type="serial", dest=str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    whole = json.loads(file.read_text())
    secrets = whole.pop("secrets")
    assert opened["connection"] == whole
    assert sessions(lane.host) == [whole["operation"]]
    assert not [secret for secret in secrets.values() if secret in str(opened)]

    others = [{"send": "", "expect": "login: $"}]
    with both(lane.host, whole, secrets) as data:
        wait_until(lambda: data.asks(b"login: "), "it is asked for a login")
        wait_until(data.logs_in, "it is logged in")
        assert data.answers("echo $((6 * 7))", b"\n42\r")
        assert data.answers("exit", b"login: ")
        wait_until(lambda: data.asks(b"login: "), "it is asked for a login again")
        refused = console(lane, type="serial", run=others)
        assert f"the console is open already, by operation {whole['operation']} since " in refused["msg"]
        assert refused["error"] == "Refused"
        forced = console(lane, type="serial", run=others, force=True)
        if lane.host.product == "lxd":
            assert "no API extension console_force" in forced["msg"]
        else:
            assert "login: " in forced["transcript"]
    wait_until(lambda: not sessions(lane.host), "the session has ended")
    assert not done(lane, type="serial", run=others).get("failed")


@pytest.mark.thorough
@pytest.mark.parametrize("execution", ["controller", "host"])
def test_no_output_has_a_secret(lane: Lane, execution: str, tmp_path: Path) -> None:
    """Not with -vvv and diff either; unless the task asks for it."""
    how = {**lane.connection, "name": NAME, "type": "serial", "execution": execution}
    file = tmp_path / "session.json"
    turns = [*LOGIN, {"send": "ps", "expect": "# $"}, *LEAVE]
    for params in ({"run": turns}, {"dest": str(file)}):
        process = command({**how, **params}, "-vvv", "--diff", module=MODULE)
        output, _errors = process.communicate(timeout=120)
        assert process.returncode == 0, output
        # What the command `ansible` was given it shows itself.
        said = output[output.index("CHANGED") :]
        assert WORD not in said
    secrets = json.loads(file.read_text())["secrets"]
    assert not [secret for secret in secrets.values() if secret in output]
    end_sessions(lane, showing(lane.host))
    shown = done(lane, type="serial", show_secret=True)["connection"]
    assert set(shown["secrets"]) == {"control", "data"}
    end_sessions(lane, showing(lane.host))


REFUSALS: tuple[tuple[Params, str], ...] = (
    ({"name": "nobody", "type": "log"}, "there is no such instance"),
    ({"type": "spice", "show_secret": True}, "this is a container, which has no screen"),
    ({"type": "screenshot", "dest": "screen.png"}, "this is a container, which has no screen"),
    ({"type": "vnc", "qemu": "unix:/run/vnc.sock"}, "this is a container, which no QEMU runs"),
    ({"type": "serial"}, "a session that nobody could use without its secrets"),
    ({"type": "log", "force": True}, "force: it is for type: serial, spice, and found log"),
)


def test_what_is_refused_changes_nothing(lane: Lane) -> None:
    before = lane.host.everything()
    for params, words in REFUSALS:
        result = console(lane, **params)
        assert words in result["msg"], result["msg"]
        assert (result["failed"], result["error"]) == (True, "Refused")
    lane.host.power(NAME, "freeze")
    assert "found frozen, allowed is running" in console(lane, type="serial", show_secret=True)["msg"]
    lane.host.power(NAME, "unfreeze")
    same(lane.host.everything(), before)
    assert sessions(lane.host) == []


@pytest.mark.thorough
def test_a_port_that_is_taken_leaves_no_device(lane: Lane) -> None:
    with lane.host.listener(LISTEN):
        result = console(lane, type="vnc", listen_port=LISTEN)
    assert f"nothing else of the host may listen at 127.0.0.1:{LISTEN}" in result["msg"]
    assert lane.host.query(f"instances/{NAME}")["devices"] == {}


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_at_its_write_is_ended_by_the_next(lane: Lane, when: str) -> None:
    turns = [{"send": "", "expect": "login: $", "timeout": 20}]
    for params in ({"type": "vnc"}, {"type": "vnc", "state": "absent"}, {"type": "log", "clear": True}):
        assert killed(1, when, {**lane.connection, "name": NAME, **params}, "lxd_console")
        done(lane, **params)
    assert killed(1, when, {**lane.connection, "name": NAME, "type": "serial", "run": turns}, "lxd_console")
    left = showing(lane.host)
    force = {"force": True} if lane.host.product == "incus" else {}
    done(lane, type="serial", run=turns, **force)
    end_sessions(lane, left)
    assert lane.host.query(f"instances/{NAME}")["devices"] == {}


def test_the_playbook_prints_the_command_that_attaches_a_terminal(lane: Lane, tmp_path: Path) -> None:
    variables = {f"console_{option}": value for option, value in lane.connection.items() if option != "execution"}
    shown = play("console", tmp_path, {"console_name": NAME, **variables})
    assert shown.returncode == 0, shown.stdout
    assert sessions(lane.host) == []
    # Where results are shown as YAML, long lines are folded.
    *before, words = re.findall(r"(?:LXD|INCUS)_(?:SOCKET|CONF)=[^\"\n]+", re.sub(r"\n {4,}", " ", shown.stdout))
    client = {**lane.host.client_environment}
    client["PATH"] = f"{Path(lane.host.facts['lab_client']).parent}:{client['PATH']}"
    # The client of a lab knows its hosts already, by these names.
    added = [f"remote add {words.split()[-1].split(':')[0]} {lane.connection['endpoint']}"]
    assert [prepare.split(" ", 2)[2] for prepare in before] == (added if ":" in words.split()[-1] else [])
    assert "login: " in typed(words, client)
    wait_until(lambda: not sessions(lane.host), "the session has ended")
