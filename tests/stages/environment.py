# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the virtual environment that a requirements file describes: `environment.py main` links it at `.venv`.

`tests/requirements/NAME.txt` holds the pins, and in a line `# python: 3.11 3.12` the interpreters they are for. The
environment itself lives in the user's cache, under the hash of both, where all checkouts share it; one that was not
finished is made anew. Exit code 3 means that none of the interpreters is on this machine.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lxdops-compute"
NO_INTERPRETER = 3


def versions_for(requirements: str) -> list[str]:
    """Return the Python versions that a requirements file says it is for, best first."""
    for line in requirements.splitlines():
        if line.startswith("# python: "):
            return line.removeprefix("# python: ").split()
    raise SystemExit("the requirements file has no line '# python: VERSION ...'")


def candidates(version: str) -> Iterator[str]:
    """Yield the paths at which an interpreter of a version may be: on the PATH, or made by pyenv."""
    for directory in os.environ["PATH"].split(os.pathsep):
        yield f"{directory}/python{version}"
    yield from map(str, (Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python{version}"))


def identity(interpreter: str) -> str | None:
    """Return what tells an interpreter from others, or None for one that cannot run or cannot make environments."""
    if not shutil.which(interpreter):
        return None
    code = "import sys, ensurepip, venv; print(sys.base_prefix, sys.version)"
    asked = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=False)
    return asked.stdout if asked.returncode == 0 else None


def find_interpreter(versions: list[str]) -> tuple[str, str] | None:
    """Return path and identity of the first interpreter found of the versions, or None."""
    for version in versions:
        for candidate in candidates(version):
            if known_as := identity(candidate):
                return candidate, known_as
    return None


def build(directory: Path, interpreter: str, requirements: Path) -> None:
    """Make a virtual environment; `.complete` is written last."""
    shutil.rmtree(directory, ignore_errors=True)
    subprocess.run([interpreter, "-m", "venv", str(directory)], check=True)
    pip = [str(directory / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--requirement", str(requirements)], check=True)
    subprocess.run([*pip, "check"], check=True, stdout=sys.stderr)
    (directory / ".complete").touch()


def main(name: str, *, only_interpreter: bool) -> int:
    """Make or find the environment, link it in the checkout, and print its link's path, or that of its interpreter."""
    requirements = CHECKOUT / f"tests/requirements/{name}.txt"
    found = find_interpreter(versions_for(requirements.read_text()))
    if found is None:
        return NO_INTERPRETER
    interpreter, known_as = found
    if only_interpreter:
        print(interpreter)
        return 0
    key = hashlib.sha256(known_as.encode() + requirements.read_bytes()).hexdigest()[:16]
    directory = CACHE / f"{name}-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}-{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / ".complete").exists():
            print(f"Making the environment '{name}' with {interpreter}: a few minutes, once", file=sys.stderr)
            build(directory, interpreter, requirements)
    link = CHECKOUT / (".venv" if name == "main" else f".venv-{name}")
    if not link.is_symlink() or link.readlink() != directory:
        link.unlink(missing_ok=True)
        link.symlink_to(directory)
    print(link)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[-1], only_interpreter="--interpreter" in sys.argv))
