# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a host knows of its volumes: a file for each, for root only, written before a volume is connected and removed
after it is disconnected. And the lock that all who change them take."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .errors import OperationFailed, Refused, TimedOut
from .volume_secrets import without_secrets

DIRECTORY = "/var/lib/lxdops/volumes"
PAUSE = 0.1


@dataclass(frozen=True)
class Record:
    """A volume that is connected, or was about to be: then it has no ``path`` yet."""

    volume: str
    device: str
    """The name of its device in instances, and of its file."""
    server: str
    """The daemon that it is connected for."""
    connection: Mapping[str, Any] = field(default_factory=dict)
    """Without secrets."""
    found: Mapping[str, Any] = field(default_factory=dict)
    """What os-brick said when it connected it; it is asked for again to disconnect it."""
    path: str = ""
    boot: str = ""
    """The boot of the host in which it was connected."""
    formatting: bool = False
    """Whether a filesystem is being made on it, which was blank."""
    awaits: str = ""
    """The instance that it is connected for and that is to come, as by a move."""
    replaces: Mapping[str, Any] = field(default_factory=dict)
    """While it is copied from another volume, whose place it takes: that ``volume`` and its ``device``, whether the
    instance is frozen by us (``froze``), and by which ``run``."""
    cinder: str = ""
    """The cloud whose Cinder said how to connect it, and by ``PROJECT/INSTANCE``:"""
    attachments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Its attachments there, ``id``, empty before it is known; the ``instance``'s UUID; whether it is ``complete``."""


class Records:
    """The records of a host, in a directory."""

    def __init__(self, directory: str = DIRECTORY) -> None:
        self._directory = directory
        self._lock: int | None = None

    def twin(self) -> Records:
        """The same, for another process, which has not got the lock."""
        return Records(self._directory)

    def find(self, volume: str, device: str) -> Record | None:
        """The record of a volume, whose device has this name."""
        found = self._read(f"{device}.json")
        if found is not None and found.volume != volume:
            raise Refused(
                f"volume: {volume} and {found.volume} would have the same device {device}",
                option="volume",
                found=volume,
            )
        return found

    def all(self) -> list[Record]:
        """Every record."""
        try:
            names = sorted(name for name in os.listdir(self._directory) if name.endswith(".json"))
        except FileNotFoundError:
            return []
        return [record for name in names if (record := self._read(name))]

    def write(self, record: Record) -> None:
        """Keep a record: whole, or as it was before."""
        self._make_directory()
        kept = without_secrets(asdict(record))
        path = f"{self._directory}/{record.device}.json"
        with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(kept, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)
        self._sync()

    def remove(self, record: Record) -> None:
        """Forget a volume."""
        os.unlink(f"{self._directory}/{record.device}.json")
        self._sync()

    def hold(self, seconds: float) -> None:
        """Take the lock of the host, until this process ends or lets go."""
        if self._lock is not None:
            return
        self._make_directory()
        lock = os.open(f"{self._directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    os.close(lock)
                    raise TimedOut(
                        f"{self._directory}/lock: another task has been at work on the volumes of this host for "
                        f"{seconds:g} seconds"
                    ) from None
            time.sleep(PAUSE)
        self._lock = lock

    def release(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make_directory(self) -> None:
        os.makedirs(self._directory, mode=0o700, exist_ok=True)

    def _read(self, name: str) -> Record | None:
        try:
            with open(f"{self._directory}/{name}", encoding="utf-8") as file:
                return Record(**json.load(file))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise OperationFailed(f"{self._directory}/{name} is no record of a volume: {error}") from None

    def _sync(self) -> None:
        directory = os.open(self._directory, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
