# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run stages of the tests, one after the other, and stop at the first that fails: `run.py setup lint unit`.

A stage is the shell script of its name in this directory. Each gets a header, its duration, and a session of its own,
so that an interrupted run leaves no process, and no lab, behind.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

STAGES = Path(__file__).parent
CHECKOUT = STAGES.parent.parent
BUILD = CHECKOUT / ".build"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lxdops-compute"
# How the names of the labs and storage machines begin that a stage may make; it finds it in LAB_NAME.
LABS = {
    "molecule": "mol",
    "cores": "core",
    "integration": "test",
    "storage": "test",
    "machines": "test",
    "thorough": "test",
    "demo": "demo",
    "bench": "bench",
    "downtime": "down",
}
# Where labs and storage machines are, and what takes one down.
ALL_LABS = {Path("/var/lib/lxdops-lab"): "tests/lab", Path("/var/lib/lxdops-storage"): "tests/storage"}
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS_TO_END = 60


class Stopped(Exception):
    """A signal asked the run to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def on_signal(do: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Set what the signals that end a run do."""
    for each in STOPPING:
        signal.signal(each, do)


def stop(number: int, _frame: FrameType | None) -> None:
    """Turn a signal into an exception, once: what follows is the clean-up."""
    on_signal(signal.SIG_IGN)
    raise Stopped(number)


def environment(stage: str) -> dict[str, str]:
    """Return what a stage finds in its environment: our tools first, our collection only, one locale."""
    return {
        **os.environ,
        "PATH": f"{CHECKOUT / '.venv/bin'}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "collections"),
        "ANSIBLE_CONFIG": str(STAGES / "ansible.cfg"),
        "PYTHONUNBUFFERED": "1",
        "LAB_NAME": LABS.get(stage, ""),
    }


def end(process: subprocess.Popen[bytes], number: int) -> None:
    """Ask a stage's processes to end, and kill them when they do not in time."""
    os.killpg(process.pid, number)
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(script: Path) -> int:
    """Run one stage's script and return its exit code."""
    process = subprocess.Popen(
        [script], cwd=CHECKOUT, env=environment(script.stem), stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait()
    except Stopped as stopped:
        end(process, stopped.number)
        raise


def remove_labs(prefixes: tuple[str, ...]) -> None:
    """Take down the labs and storage machines whose names begin so."""
    for directory, program in ALL_LABS.items():
        names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
        for name in filter(lambda name: name.startswith(prefixes), names):
            down = [str(STAGES / "as_root.sh"), sys.executable, program, "down", "--name", name]
            subprocess.run(down, cwd=CHECKOUT, check=False)


def run_all(names: list[str]) -> int:
    """Run the named stages in their order; return the exit code of the first that failed, else 0."""
    for name in names:
        print(f"\n=== {name} ===", flush=True)
        started = time.monotonic()
        code = run(STAGES / f"{name}.sh")
        took = f"{time.monotonic() - started:.0f} s"
        if code:
            print(f"=== {name} FAILED with exit code {code} after {took} ===", flush=True)
            return code if code > 0 else 128 - code
        print(f"=== {name}: {took} ===", flush=True)
    return 0


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Wait until no other run holds the file, then hold it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another run is at work here: waiting for it to end.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def labs(prefixes: tuple[str, ...]) -> Iterator[None]:
    """Take down the labs of a killed run before, and our own after."""
    with lock(CACHE / "labs.lock"):
        remove_labs(prefixes)
        try:
            yield
        finally:
            on_signal(signal.SIG_IGN)
            remove_labs(prefixes)


def main(names: list[str]) -> int:
    """Run the named stages and return the exit code of the run."""
    made = tuple(LABS[name] for name in names if name in LABS)
    on_signal(stop)
    try:
        # What one run builds is not replaced by another meanwhile.
        with lock(BUILD / "lock") if "build" in names else nullcontext(), labs(made) if made else nullcontext():
            return run_all(names)
    except Stopped as stopped:
        print(f"=== stopped by {stopped} ===", flush=True)
        return 128 + stopped.number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
