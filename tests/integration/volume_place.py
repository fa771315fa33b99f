# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab host, a volume that is to be attached there, and the task about it: lxd_volume_attachment as it runs there."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.lab_host import PREFIX, LabHost
from integration.loop import Storage
from lab.host import holder

RUN = Path(__file__).with_name("volume_run.py")
FILES = Path("/var/tmp/lxdops-volumes") / PREFIX  # noqa: S108 where files of a test run that was killed are found
NAME, OTHER = "vol", "volother"
ID = "4fe1c2ba-1b6a-4e3e-9d70-c7f0e0a3bb01"
KILLED = -9


@dataclass(frozen=True)
class Place:
    """A host, the volume that is to be attached there, and where the host keeps its records."""

    host: LabHost
    storage: Storage
    records: Path

    def run(self, *death: str, check: bool = False, module: str = "", **params: Any) -> dict[str, Any] | None:
        """The result of one task; None when it was killed."""
        held_by = holder(self.host.machine)
        where = {"endpoint": f"{self.host.machine.data}/unix.socket", "records": str(self.records)}
        arguments = {**where, **params, "_ansible_check_mode": check, "_ansible_diff": True}
        done = subprocess.run(
            ["nsenter", "--target", str(held_by), "--mount", "--net", "--pid", "--uts", sys.executable, str(RUN)]
            + [f"lxd_volume_attachment{module}", *death],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode == KILLED:
            return None
        assert not done.stderr, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def task(self, **params: Any) -> dict[str, Any]:
        """The result of a task about the volume."""
        found = self.run(**self.about(params))
        assert found is not None
        return found

    def done(self, **params: Any) -> dict[str, Any]:
        """The same, of one that must not fail."""
        found = self.task(**params)
        assert not found.get("failed"), found["msg"]
        return found

    def about(self, params: Mapping[str, Any]) -> dict[str, Any]:
        connection = {"driver_volume_type": "local", "data": {"device_path": self.storage.device, "volume_id": ID}}
        return {"instance": NAME, "volume": ID, "connection": connection, **params}

    def info(self) -> dict[str, Any]:
        found = self.run(module="_info")
        assert found is not None
        assert not found.get("failed"), found["msg"]
        return found

    def kept(self) -> list[dict[str, Any]]:
        """The records of the host."""
        return [json.loads(path.read_text()) for path in sorted(self.records.glob("*.json"))]

    def devices(self, name: str = NAME) -> dict[str, Any]:
        found: dict[str, Any] = self.host.query(f"instances/{name}")["devices"]
        return {device: options for device, options in found.items() if "user.lxdops.volume" in options}

    def is_free(self) -> bool:
        """Whether nobody holds the block device, by the kernel's word."""
        code = f"import os; os.open({self.storage.device!r}, os.O_RDONLY | os.O_EXCL)"
        return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
