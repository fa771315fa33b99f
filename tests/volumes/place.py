# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage machine as tests see it: its storages, the module's tasks there, and the kernel's view."""

import io
import json
import select
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integration.case import proof
from storage.machine import Machine

NAME, OTHER = "vol", "volother"
CHAP_SECRET = "chap-Secret-4711"  # noqa: S105 - to be looked for
PASSPHRASE = "luks-Passphrase-4711"  # noqa: S105
PARTS = ("changed", "steps", "diff", "attachment", "lost", "pending")
MIB = 1 << 20
KILLED = -9
TESTS = Path(__file__).parents[1]
PROGRAMS = {"guest.py": TESTS / "volumes/guest.py", "integration/volume_run.py": TESTS / "integration/volume_run.py"}
"""What is needed there of the tests."""
SECONDS, BETWEEN = 900, 30
"""The most that one answer may take; how often it is asked meanwhile whether the machine is still there."""
PATHS = "/opt/lxdops:/root/collections:/root/tests"


class Guest:
    """The process there that runs tasks."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._process: subprocess.Popen[str] | None = None
        self._hangs = False

    def ask(self, do: str, **words: Any) -> Any:
        """One answer."""
        assert not self._hangs, "the machine hangs"
        if self._process is None:
            self._process = subprocess.Popen(
                [*self.machine.ssh_words(), f"PYTHONPATH={PATHS} exec python3 /root/tests/guest.py 2>/root/guest.log"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._answer(self._process)
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": do, **words}) + "\n")
        self._process.stdin.flush()
        return self._answer(self._process)

    def _answer(self, process: subprocess.Popen[str]) -> Any:
        assert process.stdout
        end = time.monotonic() + SECONDS
        # What it answers is one line, so nothing of it is in a buffer of ours before.
        while not select.select([process.stdout], [], [], BETWEEN)[0]:
            self._hangs = self.machine.hangs()
            if self._hangs or time.monotonic() > end:
                self.end()
                assert not self._hangs, "the machine hangs"
                raise AssertionError(f"no answer within {SECONDS} seconds: {self.machine.run('cat /root/guest.log')}")
        line = process.stdout.readline()
        assert line, self.machine.run("cat /root/guest.log")
        return json.loads(line)

    def end(self) -> None:
        """Let it go: its machine is reset, or done with."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def shell(self, script: str, text: str = "") -> str:
        """The output of a shell script there."""
        done = self.ask("shell", script=script, text=text)
        assert done["code"] == 0, f"{script}: {done['err']}{done['out']}"
        out: str = done["out"]
        return out

    def kernel(self) -> list[str]:
        """Connections, devices and what is kept of them."""
        found: list[str] = self.ask("kernel")["found"]
        return found


@dataclass
class Place:
    """A volume of a storage, and the tasks about it."""

    guest: Guest
    protocol: str
    volume: str
    connection: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)
    name: str = NAME
    """The instance."""

    def run(self, *death: Any, check: bool = False, module: str = "", **params: Any) -> dict[str, Any] | None:
        """The result of one task; None when it was killed."""
        extra = {"_ansible_check_mode": check, "_ansible_diff": True, "_ansible_verbosity": 3}
        done = self.guest.ask(
            "task", module=f"lxd_volume_attachment{module}", arguments={**params, **extra}, death=list(death)
        )
        if done["code"] == KILLED:
            return None
        assert not done["err"], done["err"]
        result: dict[str, Any] = json.loads(done["out"])
        return result

    def about(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"instance": self.name, "volume": self.volume, "connection": self.connection, **self.options, **params}

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

    def proved(self, **params: Any) -> dict[str, Any]:
        """Check, apply, again; the result of the apply."""

        def run(check: bool) -> dict[str, Any]:
            found = self.run(check=check, **self.about(params))
            assert found is not None
            return found

        return proof(run, PARTS, lambda: (self.guest.kernel(), self.instance()), self.instance)[0]

    def instance(self, name: str = "") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.guest.shell(f"lxc query /1.0/instances/{name or self.name}"))
        return found

    def devices(self, name: str = "") -> dict[str, Any]:
        devices = self.instance(name)["devices"]
        return {device: options for device, options in devices.items() if "user.lxdops.volume" in options}

    def inside(self, script: str, name: str = "") -> str:
        """The output of a shell script in the instance."""
        return self.guest.shell(f"timeout 120 lxc exec {name or self.name} -- sh -c '{script}'")

    def stored(self, start: int, length: int) -> bytes:
        """What the storage has of the volume."""
        shown = self.guest.shell(f"target read {self.volume} {start} {length} | od -An -v -tx1")
        return bytes.fromhex("".join(shown.split()))

    def grow(self, mib: int) -> None:
        self.guest.shell(f"target grow {self.volume} {mib}")

    def info(self) -> dict[str, Any]:
        found = self.run(module="_info")
        assert found is not None
        assert not found.get("failed"), found["msg"]
        return found

    def nothing_is_left(self) -> None:
        """No session, map, mapping, loop, mount, device, record or file that was not there before."""
        left = self.guest.kernel()
        end = time.monotonic() + 15
        while left != self.before and time.monotonic() < end:  # The kernel removes on its own time.
            left = self.guest.kernel()
        assert left == self.before
        assert self.devices() == {}


@contextmanager
def storage(
    guest: Guest, protocol: str, volume: str, mib: int = 64, encrypted: bool = False, name: str = NAME
) -> Iterator[Place]:
    """A blank volume by a protocol, that nothing of is left on the host afterwards. ``encrypted``: it is so already,
    with a header that is opened fast: the usual ones take a minute on this machine."""
    export = {"luks": "chap", "luks2": "chap", "multipath": "iscsi"}.get(protocol, protocol)
    # Fibre Channel finds the volume by itself, when its ports come up.
    before = guest.kernel()
    connection = json.loads(guest.shell(f"target up {volume} {export} {mib}", CHAP_SECRET))
    if export == "chap":
        connection["data"]["auth_password"] = CHAP_SECRET
    options: dict[str, Any] = {"use_multipath": protocol == "multipath"}
    if protocol.startswith("luks"):
        options["encryption"] = {"type": protocol, "passphrase": PASSPHRASE, "format": True}
    if encrypted:
        make = f"cryptsetup luksFormat --batch-mode --type {protocol} --pbkdf pbkdf2 --pbkdf-force-iterations 1000"
        guest.shell(f"{make} --key-file=- /srv/volumes/{volume}", PASSPHRASE)
    place = Place(guest, protocol, volume, connection, options, before, name)
    try:
        yield place
    finally:
        if guest.kernel() != place.before:
            for user in (name, OTHER):
                place.run(**place.about({"instance": user, "state": "detached", "force": True}))
        guest.shell(f"target down {volume}")


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Poll a condition until it is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not so after {seconds:g} seconds"
        time.sleep(0.2)


def archive(parts: Mapping[str, Path]) -> bytes:
    """A tar archive of files and directories, by the names that they shall have."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, path in parts.items():
            tar.add(path, name)
    return target.getvalue()
