# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the storage machine: one process that runs what the tests ask for, a line of JSON on its standard input for each
and one with the answer on its standard output. What a module imports takes seconds there, so this imports it once, and
each task runs in a child, as Ansible would run it.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from glob import glob
from importlib import import_module
from pathlib import Path
from typing import Any

from ansible.module_utils import basic
from integration.volume_run import MODULES, die_at
from os_brick.initiator.connector import InitiatorConnector

NAMES = ("lxd_volume_attachment", "lxd_volume_attachment_info", "lxd_interface")
for name in NAMES:
    import_module(f"{MODULES}.{name}")
UTILS = MODULES.replace("plugins.modules", "plugins.module_utils")
CUT = ("sh", "-c", "target cut 127.0.0.1; target cut 127.0.0.2")
PROTOCOLS = ("ISCSI", "NVMEOF", "FIBRE_CHANNEL", "RBD", "LOCAL")
for protocol in PROTOCOLS:
    InitiatorConnector.factory(protocol, None)


def child(work: Callable[[], None], out: Any, err: Any) -> int:
    """Run it in a process of its own; how that ended, as subprocess tells it."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    code = 1
    try:
        work()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def cut_at(word: str, when: str) -> None:
    """Let the storage's portals fall silent before or after the first program of os-brick that has the word among
    its own, or the function of that name."""
    programs, steps = (import_module(f"{UTILS}.{name}") for name in ("brick_programs", "volume_steps"))
    silent = False

    def watched(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def watching(*args: Any, **kwargs: Any) -> Any:
            nonlocal silent
            due = not silent and word in (name, *args)
            silent = silent or due
            if due and when == "before":
                subprocess.run(CUT, check=True)
            result = original(*args, **kwargs)
            if due and when == "after":
                subprocess.run(CUT, check=True)
            return result

        setattr(owner, name, watching)

    watched(programs.Programs, "__call__")
    watched(steps, "write_device")


def task(module: str, arguments: dict[str, Any], death: list[Any]) -> dict[str, Any]:
    """Run a module."""

    def work() -> None:
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        basic._ANSIBLE_PROFILE = "legacy"
        sys.argv = [module]
        if death[:1] == ["cut"]:
            cut_at(*death[1:])
        elif death:
            die_at(int(death[0]), death[1], programs=True)
        import_module(f"{MODULES}.{module}").main()

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = child(work, out, err)
        out.seek(0)
        err.seek(0)
        return {"code": code, "out": out.read().decode(), "err": err.read().decode()}


def shell(script: str, text: str = "") -> dict[str, Any]:
    """Run a shell script."""
    done = subprocess.run(["/bin/sh", "-c", script], input=text.encode(), capture_output=True, check=False)
    return {"code": done.returncode, "out": done.stdout.decode(errors="replace"), "err": done.stderr.decode()}


NAMED = (
    "/sys/class/iscsi_session/*",
    "/sys/class/nvme/*",
    "/sys/block/sd*",
    "/sys/block/nvme*",
    "/sys/block/rbd*",
    "/etc/iscsi/nodes/**/*",
    "/etc/iscsi/send_targets/**/*",
    "/tmp/brickrbd*",  # noqa: S108
    "/dev/disk/by-id/os-brick*",
    "/dev/lxdops/*",
    "/var/lib/lxdops/volumes/*.json",
    "/var/lib/lxdops/shares/*",
    "/run/lxdops/[!o]*",
)
"""What there is by its name; in the last one are locks too."""
TOLD = ("/sys/block/dm-*/dm/name", "/sys/block/loop*/loop/backing_file")
"""What there is by its content."""


def kernel() -> Iterator[str]:
    """What there is of connections, by the kernel's word, and what programs keep of them."""
    for pattern in NAMED:
        yield from glob(pattern, recursive=True)
    for pattern in TOLD:
        for path in glob(pattern):
            name = Path(path).read_text().strip()
            if not name.startswith("/srv/volumes/"):  # The storages' own.
                yield f"{path.split('/')[3]} {name}"
    for line in Path("/proc/mounts").read_text().splitlines():
        if line.split()[2] in ("nfs", "nfs4"):
            yield f"mount {line.split()[1]}"
    for path in glob("/proc/[0-9]*/comm"):
        try:
            name = Path(path).read_text().strip()
        except OSError:
            continue  # It has ended.
        if "privsep" in name:
            yield name


WATCHERS: list[int] = []


def watch(secrets: list[str]) -> dict[str, Any]:
    """Look for secrets in the arguments and environments of all processes, until `seen` is asked for."""
    pid = os.fork()
    if pid:
        WATCHERS.append(pid)
        return {}
    found: set[str] = set()

    def end(_number: int, _frame: Any) -> None:
        Path("/run/seen").write_text(json.dumps(sorted(found)))
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    wanted = [secret.encode() for secret in secrets]
    while True:
        for name in os.listdir("/proc"):
            for part in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{name}/{part}", "rb") as file:
                        words = file.read()
                except OSError:
                    continue  # No process, or it has ended.
                found |= {words.replace(b"\0", b" ").decode(errors="replace") for secret in wanted if secret in words}


def seen() -> dict[str, Any]:
    """The command lines that had a secret in them."""
    pid = WATCHERS.pop()
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    return {"found": json.loads(Path("/run/seen").read_text())}


COMMANDS: dict[str, Callable[..., Any]] = {
    "task": task,
    "shell": shell,
    "kernel": lambda: {"found": sorted(set(kernel()))},
    "watch": watch,
    "seen": seen,
}

if __name__ == "__main__":
    # What a child prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answers.write(json.dumps("ready") + "\n")
    answers.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        answers.write(json.dumps(COMMANDS[asked.pop("do")](**asked)) + "\n")
        answers.flush()
