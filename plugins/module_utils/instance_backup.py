# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""An instance from a backup file (``lxc export``, ``lxd_snapshot`` with ``export``) on the machine where we run.

A request that imports one takes no config, so no marker: the instance is imported under another name, written as
declared, and then gets its own. What a killed run left under that other name, the next one deletes.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO, Any, cast

from .errors import MissingLibrary, NotFound
from .instance import Current, Desired, Origin
from .instance_read import read, read_profiles
from .instance_record import owned
from .instance_steps import Create
from .instance_write import insist
from .steps import Api, Reader

INDEX = "backup/index.yaml"
"""The first file of a backup: what it holds (lxd/backup/backup_info.go)."""
SUM = re.compile(r"^([0-9a-f]{64})  ", re.MULTILINE)
ZSTD = b"\x28\xb5\x2f\xfd"
"""How a file begins that Python before 3.14 cannot decompress."""


def read_instance(on: Reader, desired: Desired) -> Current:
    """The instance as it is, and where it is to be made from a backup what that brings."""
    current = read(on, desired)
    source = desired.source
    if (
        source is None
        or source.type != "backup"
        or desired.state == "absent"
        or (current.exists and not current.unfinished)
    ):
        return current
    origin = origin_of(source.file, source.sha256)
    names = desired.profiles if desired.profiles is not None else origin.profiles
    server = replace(current.server, profiles=read_profiles(on, ("default",) if names is None else names))
    return replace(current, server=server, origin=origin)


def origin_of(file: str, sha256: str) -> Origin:
    """What a backup brings, or why nothing can be made of it. ``sha256``: of the file; that of ``FILE.sha256`` where it
    is empty and there is one."""
    try:
        wanted = sha256.lower() or _beside(file)
        found = _digest(file) if wanted else ""
        if found != wanted:
            return Origin(problem=f"source.sha256: {file} has {found}, and shall have {wanted}: it is damaged")
        index = read_index(file)
    except (OSError, EOFError, tarfile.TarError) as error:
        return Origin(problem=f"source.file: {file} cannot be read, on the machine where this task runs: {error}")
    kept = (index.get("config") or {}).get("container") or (index.get("config") or {}).get("instance")
    if not kept:
        return Origin(problem=f"source.file: {file} is no backup of an instance, as {INDEX} in it has no config of one")
    return Origin(
        config=owned(kept["config"]),
        devices=kept["devices"],
        profiles=tuple(kept["profiles"] or ()),
        type=index.get("type") or "container",
        architecture=kept.get("architecture", ""),
    )


def read_index(file: str) -> dict[str, Any]:
    """What a backup says of itself."""
    try:
        import yaml
    except ImportError:
        raise MissingLibrary("the Python library PyYAML is needed where this module runs, to read a backup") from None
    with _plain(file) as plain, tarfile.open(fileobj=plain, mode="r|*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name == INDEX else None
            if content is not None:
                found = yaml.safe_load(content)
                return found if isinstance(found, dict) else {}
    raise tarfile.TarError(f"there is no {INDEX} in it")


@contextmanager
def _plain(file: str) -> Iterator[IO[bytes]]:
    """A backup that Python can decompress."""
    with open(file, "rb") as content:
        packed = content.read(len(ZSTD)) == ZSTD
        content.seek(0)
        if not packed:
            yield content
            return
        if not shutil.which("zstd"):
            raise tarfile.TarError("it is compressed by zstd, and there is no such program")
        with subprocess.Popen(["zstd", "-dc", file], stdout=subprocess.PIPE) as process:
            yield cast("IO[bytes]", process.stdout)
            process.kill()


def _beside(file: str) -> str:
    with suppress(FileNotFoundError), open(f"{file}.sha256", encoding="utf-8", errors="replace") as beside:
        found = SUM.search(beside.read())
        return found[1] if found else ""
    return ""


def _digest(file: str) -> str:
    digest = hashlib.sha256()
    with open(file, "rb") as content:
        while piece := content.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@dataclass(frozen=True)
class Import:
    """Have the server make an instance of a backup."""

    create: Create
    pool: str = ""
    """The pool of its root, empty for the one it was on."""

    @property
    def text(self) -> str:
        return self.create.text

    def effect(self, current: Current) -> Current:
        return self.create.effect(current)

    def run(self, on: Api) -> None:
        name, file = self.create.result.name, self.create.source.file
        path = f"instances/{meanwhile(name)}"
        on.settle(path)
        with suppress(NotFound):
            on.delete(path)
        place = {"pool": self.pool} if self.pool else {}
        with open(file, "rb") as content:
            on.upload("instances", content, {"name": meanwhile(name), **place})
        own = read_index(file).get("name") == name
        insist(lambda: self.create.finish(on, meanwhile(name), own))
        on.post(path, {"name": name})


def meanwhile(name: str) -> str:
    """What an instance is called until it is as declared."""
    return f"lxdops-import-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def importing(step: Any) -> Any:
    """A step, or where it creates from a backup the one that can do that."""
    if not isinstance(step, Create) or step.source.type != "backup":
        return step
    roots = (device for device in step.result.devices.values() if device.get("path") == "/")
    return Import(step, next((root.get("pool", "") for root in roots), ""))
