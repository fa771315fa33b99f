# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A backup of an instance that has a snapshot, as a file with its checksum beside it, on the machine where we run.

The checksum is in FILE.sha256, as sha256sum reads it; a comment there tells of which snapshot,
and how large the file is.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from .errors import NotFound, OperationFailed, Refused
from .snapshot import Shelf, Snapshot, Wanted
from .snapshot_file import Export, Exported
from .snapshot_publish import origin_now, origin_of
from .steps import Api, Step

BESIDE = re.compile(r"^# (\S+ \S+) (\d+)\n([0-9a-f]{64})  ")
PRIVATE = 0o600
"""The mode of the file: it holds all that the instance does."""
LEFT = timedelta(days=1)
"""How long the server keeps what a killed run of ours leaves there."""


def read_exported(wanted: Wanted, snapshot: Snapshot | None) -> Exported:
    """What there is of the file."""
    file = wanted.export.file if wanted.export else ""
    directory = os.path.dirname(file)
    if not os.access(directory, os.W_OK | os.X_OK) or not os.path.isdir(directory):
        return Exported(
            problem=f"{directory} is no directory that we may write to, on the machine where this task runs"
        )
    if os.path.isdir(file):
        return Exported(problem=f"{file} is a directory")
    if not os.path.exists(file):
        return Exported()
    try:
        with open(f"{file}.sha256", encoding="utf-8", errors="replace") as beside:
            known = BESIDE.match(beside.read())
    except OSError:
        known = None
    if known is None:
        return Exported(problem=f"{file} is there, and was not made by this module, as it has no {file}.sha256 of ours")
    if snapshot and known[1] == origin_of(wanted.instance, snapshot) and int(known[2]) == os.path.getsize(file):
        return Exported(whole=True, sha256=known[3])
    return Exported()


def export_steps(wanted: Wanted, shelf: Shelf) -> list[Step[Shelf, Api]]:
    """What is left until a snapshot, which is there, is in the file."""
    if wanted.export is None or shelf.exported.whole:
        return []
    if shelf.exported.problem:
        where = f"{wanted.where} on {shelf.instance.server.name}"
        raise Refused(f"{where}: export.file: {shelf.exported.problem}", option="export.file", found=wanted.export.file)
    return [ExportBackup(wanted.instance, wanted.snapshot, wanted.export)]


@dataclass(frozen=True)
class ExportBackup:
    """Have the server make a backup of the instance, fetch it, and delete it there."""

    instance: str
    snapshot: str
    export: Export

    @property
    def text(self) -> str:
        return f"export {self.instance} with its snapshots, {self.snapshot} among them, to {self.export.file}"

    def effect(self, shelf: Shelf) -> Shelf:
        return replace(shelf, exported=Exported(whole=True))

    def run(self, on: Api) -> None:
        origin = origin_now(on, self.instance, self.snapshot)
        name = f"lxdops-{hashlib.sha256(origin.encode()).hexdigest()[:12]}"
        path = f"instances/{self.instance}/backups"
        with suppress(NotFound):
            on.delete(f"{path}/{name}")
        body: dict[str, Any] = {
            "name": name,
            "expires_at": (datetime.now(timezone.utc) + LEFT).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "instance_only": False,
            "optimized_storage": self.export.optimized,
        }
        if self.export.compression:
            body["compression_algorithm"] = self.export.compression
        try:
            try:
                on.post(path, body)
                digest, size = self._fetch(on, f"{path}/{name}/export")
            finally:
                # Before the file has its name, since no run looks after that. Where it fails it expires there.
                with suppress(NotFound, OperationFailed):
                    on.delete(f"{path}/{name}")
            self._put(f"# {origin} {size}\n{digest}  {os.path.basename(self.export.file)}\n")
        except OSError as error:
            where = f"{self.instance}/{self.snapshot} on {on.name}: export.file"
            raise OperationFailed(f"{where}: it cannot be written: {error}", option="export.file") from None
        finally:
            with suppress(FileNotFoundError):
                os.unlink(self._part)

    @property
    def _part(self) -> str:
        directory, name = os.path.split(self.export.file)
        return os.path.join(directory, f".{name}.part")

    def _fetch(self, on: Api, path: str) -> tuple[str, int]:
        """Write the file under another name; its checksum and size."""
        digest, size = hashlib.sha256(), 0
        with _private(self._part) as target, on.download(path) as (_headers, pieces):
            for piece in pieces:
                digest.update(piece)
                size += target.write(piece)
            target.flush()
            os.fsync(target.fileno())
        return digest.hexdigest(), size

    def _put(self, beside: str) -> None:
        """Give the file its name. Nothing of an older one is left that the new checksum could be taken for."""
        file = self.export.file
        with _private(f"{self._part}.sha256") as target:
            target.write(beside.encode())
        with suppress(FileNotFoundError):
            os.unlink(file)
        os.replace(f"{self._part}.sha256", f"{file}.sha256")
        os.replace(self._part, file)


def _private(path: str) -> Any:
    """A new file that is nobody else's to read."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb")
