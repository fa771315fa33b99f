# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands, and finding the processes that belong to a host by the namespace they live in."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from .errors import LabError

T = TypeVar("T")
R = TypeVar("R")
Namespace = tuple[int, int]  # device and inode


def run(
    argv: Sequence[str | Path],
    *,
    text: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 60,
) -> str:
    """The standard output of a command; `text` is its input. Raises LabError with what it said on failure."""
    words = [str(word) for word in argv]
    shown = " ".join(words[:6])
    try:
        done = subprocess.run(
            words,
            input=text if text is not None else "",
            env=dict(env) if env is not None else None,
            cwd=cwd,
            timeout=timeout,
            text=True,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"command not found: {words[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{shown}` did not end within {timeout:.0f} seconds") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(f"`{shown}` failed ({done.returncode}): {said}")
    return done.stdout


def wait_until(condition: Callable[[], T | None], seconds: float, what: str) -> T:
    """Poll `condition`, ever more seldom, until it is true; its value. Raises LabError with `what` after `seconds`."""
    deadline, pause = time.monotonic() + seconds, 0.01
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not so after {seconds:.0f} seconds")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)
    return found


def in_parallel(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`work` of each item, one thread each, results in order; the first error is raised after all have ended."""
    if not items:
        return []
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(work, items))


def namespace(path: Path) -> Namespace | None:
    """The namespace behind `path`: /proc/PID/ns/KIND, or a file that one is mounted on. None when there is none."""
    try:
        found = path.stat()
    except OSError:  # the process has ended, or the namespace was never made
        return None
    return found.st_dev, found.st_ino


def pids() -> Iterator[int]:
    """Every process there is now."""
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def members(kind: str, of: Namespace) -> list[int]:
    """The processes in a namespace of this kind ("net", "pid", ...)."""
    return [pid for pid in pids() if namespace(Path(f"/proc/{pid}/ns/{kind}")) == of]


def innermost_pid(pid: int) -> int | None:
    """The process's number in its own pid namespace."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:")), None)


def parent(pid: int) -> int | None:
    """The process's parent; None when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent to notice does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def descendants(of: int) -> list[int]:
    """The children of a process, theirs, and so on."""
    parents = {pid: parent(pid) for pid in pids()}
    found, last = [], [of]
    while last:
        last = [pid for pid, its in parents.items() if its in last]
        found += last
    return found


def command_line(pid: int) -> list[str]:
    """The process's arguments; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def kill(pid: int) -> None:
    """SIGKILL; a process that has ended already is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
