# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines as tests see them: by ``lxc query``, and from inside by LXD's agent, with an end to each wait."""

import json
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.case import proof
from storage.machine import Machine
from volumes.place import Guest

MACHINE, IMAGE, NETWORK = "vm1", "machine", "vmbr0"
PRESEED = f"""
storage_pools: [{{name: default, driver: dir}}]
networks: [{{name: {NETWORK}, type: bridge, config: {{ipv4.address: 10.99.0.1/24, ipv6.address: none}}}}]
profiles: [{{name: default, devices: {{root: {{type: disk, path: /, pool: default}}}}}}]
"""
PROGRAMS = """
mountpoint -q /run/machines || {
    mkdir -p /run/machines
    mount -o ro LABEL=machines /run/machines
    mount -t overlay -o lowerdir=/usr:/run/machines/usr machines /usr
}
modprobe -a kvm_amd vhost_vsock
systemctl start lxcfs lxd iscsid multipathd
lxd waitready --timeout=180
"""
"""What LXD lacks there for virtual machines is on a disk of its own, and laid under what there is."""
TALK = {"talk.py": Path(__file__).with_name("talk.py")}
NESTED = "-cpu host,kvm-asyncpf-int=off,kvm-asyncpf=off -machine kernel-irqchip=off"
"""Without this QEMU ends, which runs the machine that QEMU runs in, without hardware support."""
CONFIG = {
    "limits.cpu": "1",  # With two the guest hangs.
    "limits.memory": "256MiB",
    "security.secureboot": "false",
    "migration.stateful": "true",
    "raw.qemu": NESTED,
}
SECONDS_TO_COME_UP = 600
"""It is a minute on a machine with nothing else to do."""

NOT_BEGUN = ("bad handshake", "agent isn't currently running", "handshake timeout", "i/o timeout")
"""What the client says when LXD and the agent did not agree on keys within LXD's ten seconds: nothing was run then."""
TRIES = 10


def prepare(host: Machine) -> None:
    """Have the machine's LXD run virtual machines."""
    host.run(PROGRAMS, seconds=300)
    if IMAGE not in host.run("lxc image list --format csv --columns l").split():
        host.run("lxd init --preseed", PRESEED)
        host.run(f"lxc image import /run/machines/machine.tar.gz /run/machines/machine.qcow2 --alias {IMAGE}")


@dataclass(frozen=True)
class Virtual:
    """A virtual machine of the guest's LXD."""

    guest: Guest
    name: str

    def make(self, empty: bool = False) -> None:
        """Create it, stopped."""
        words = ["lxc", "init", "--vm", "-d", "root,size.state=400MiB", *(["--empty"] if empty else [IMAGE]), self.name]
        for key, value in CONFIG.items():
            words += ["-c", f"{key}={value}"]
        self.guest.shell(shlex.join(["timeout", "300", *words]))

    def exists(self) -> bool:
        names: list[str] = self.query("instances")
        return f"/1.0/instances/{self.name}" in names

    def remove(self) -> None:
        """Delete it, if it is there."""
        if self.exists():
            self.guest.shell(f"timeout 120 lxc delete --force {self.name}")

    def power(self, action: str, force: bool = False) -> None:
        self.guest.shell(f"timeout 240 lxc {action} {self.name}{' --force' if force else ''}")

    def comes_up(self) -> bool:
        """Whether its agent answers in time."""
        end = time.monotonic() + SECONDS_TO_COME_UP
        while time.monotonic() < end:
            if self.guest.ask("shell", script=f"timeout 30 lxc exec {self.name} -- true")["code"] == 0:
                return True
            time.sleep(2)
        return False

    def inside(self, script: str) -> str:
        """The output of a shell script in it."""
        script = f"timeout 120 lxc exec {self.name} -- sh -c {shlex.quote(script)}"
        for _attempt in range(TRIES):
            done = self.guest.ask("shell", script=script)
            if done["code"] == 0 or not any(words in done["err"] for words in NOT_BEGUN):
                break
            time.sleep(2)
        assert done["code"] == 0, f"{script}: {done['err']}{done['out']}"
        out: str = done["out"]
        return out

    def query(self, path: str) -> Any:
        """What the server has at a path."""
        return json.loads(self.guest.shell(f"timeout 120 lxc query '/1.0/{path}'"))

    def instance(self) -> dict[str, Any]:
        found: dict[str, Any] = self.query(f"instances/{self.name}")
        return found

    def task(self, module: str, check: bool = False, **params: Any) -> dict[str, Any]:
        """The result of a task about it."""
        about = {"name": self.name, **params, "_ansible_check_mode": check, "_ansible_diff": True}
        answer = self.guest.ask("task", module=module, arguments=about, death=[])
        assert not answer["err"], answer["err"]
        result: dict[str, Any] = json.loads(answer["out"])
        return result

    def done(self, module: str, **params: Any) -> dict[str, Any]:
        """The same, of one that must not fail."""
        result = self.task(module, **params)
        assert not result.get("failed"), result["msg"]
        return result

    def refused(self, words: str, module: str, **params: Any) -> None:
        """A task that is refused in these words, and changes nothing."""
        before = self.instance()
        for check in (True, False):
            result = self.task(module, check=check, **params)
            assert words in result["msg"], result["msg"]
            assert (result["failed"], result["error"]) == (True, "Refused")
        assert self.instance() == before

    def proved(self, parts: tuple[str, ...], module: str, **params: Any) -> dict[str, Any]:
        """Check, apply, again; the result of the apply. ``parts``: those that check mode must tell as the run does."""
        return proof(lambda check: self.task(module, check=check, **params), parts, self.instance)[0]
