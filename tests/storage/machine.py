# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running storage machine: QEMU without hardware support (it works everywhere, and is slow), reached by ssh."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.processes import command_line, is_alive, run, wait_until

from .image import MACHINES, Image

MEMORY = 4096
"""MiB."""
SECONDS_TO_BOOT = 300
SECONDS_TO_END = 30
TRIES = 4
"""To reach it, of up to 20 seconds each, before it is taken for hung."""
SAID = 4000
"""Characters of the console's end."""


@dataclass(frozen=True)
class Machine:
    """One machine, by its name; all that it changes is in its directory."""

    name: str

    @property
    def directory(self) -> Path:
        return MACHINES / self.name

    @property
    def port(self) -> int:
        """Of this machine's loopback address, where its ssh is."""
        return int((self.directory / "port").read_text())

    @property
    def pid(self) -> int | None:
        """QEMU's process, if it runs."""
        try:
            pid = int((self.directory / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        mine = any(str(self.directory) in word for word in command_line(pid))
        return pid if mine and is_alive(pid) else None

    def ssh_words(self, *options: str) -> list[str]:
        """The command that runs another one there."""
        about = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "ConnectTimeout": "20",
            "ControlPath": str(self.directory / "ssh"),
        }
        # Of a setting that is given twice ssh takes the first.
        settings = [*options, *(f"-o{key}={value}" for key, value in about.items())]
        key = self.directory / "key"
        return ["ssh", "-i", str(key), "-p", str(self.port), *settings, "root@127.0.0.1"]

    def run(self, script: str, text: str = "", seconds: float = 300) -> str:
        """The standard output of a shell script there. Raises LabError with what it said on failure."""
        return run([*self.ssh_words(), script], text=text, timeout=seconds)

    def push(self, archive: bytes, directory: str) -> None:
        """Unpack a tar archive there."""
        words = [*self.ssh_words(), f"mkdir -p {directory} && tar -C {directory} -xf -"]
        done = subprocess.run(words, input=archive, capture_output=True, check=False, timeout=300)
        if done.returncode:
            raise LabError(f"{self.name}: {done.stderr.decode()}")

    def start(self, image: Image, *more: Path) -> None:
        """Boot it from the image, with what it changed before if it was there. ``more``: disks that it only reads."""
        self.directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(image.key, self.directory / "key")
        (self.directory / "key").chmod(0o600)
        disk = self.directory / "disk.qcow2"
        if not disk.exists():
            run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image.disk, "-F", "qcow2", disk])
        (self.directory / "port").write_text(str(_free_port()))
        run(_qemu(self, image, disk, more), timeout=60)
        self._wait()

    def reset(self) -> None:
        """As if its power had failed for a moment: what it had not written is lost."""
        # Not by QEMU's own reset: without hardware support its second processor does not always wake up after it.
        words = command_line(self.pid) if self.pid else []
        if not words:
            raise LabError(f"{self.name}: it does not run")
        self._end()
        run(words, timeout=60)
        self._wait()

    def hangs(self) -> bool:
        """Whether QEMU runs, and the machine does not answer, however often it is asked."""
        return self.pid is not None and not any(self._boot() for _ in range(TRIES))

    def said(self) -> str:
        """The end of its console, and where its processors are by QEMU's word."""
        console = (self.directory / "console").read_text(errors="replace")[-SAID:]
        try:
            registers = _monitored(self.directory / "monitor", "info registers -a")
        except OSError as error:
            registers = f"QEMU does not answer: {error}"
        return "\n".join([console, *re.findall(r"CPU#\d+|R[IS]P=\w+|QEMU .*", registers)])

    def _connect(self) -> None:
        """Keep one connection, which the others go through: to agree on keys takes seconds there."""
        words = self.ssh_words("-oControlMaster=yes", "-oControlPersist=yes", "-N", "-f")
        subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )

    def hang_up(self) -> None:
        """End the ssh connection that is kept."""
        subprocess.run([*self.ssh_words("-O", "exit")], capture_output=True, check=False, timeout=20)

    def stop(self) -> None:
        """End it at once, and forget what it changed."""
        if not self.directory.exists():
            return
        self._end()
        shutil.rmtree(self.directory)

    def _end(self) -> None:
        if (self.directory / "port").exists():
            self.hang_up()
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGKILL)
            # Its disk is locked until the last thread has ended.
            threads = Path(f"/proc/{pid}/task")
            ended = f"{self.name}: QEMU ends"
            wait_until(lambda: not is_alive(pid) and len(list(threads.glob("*"))) < 2, SECONDS_TO_END, ended)

    def _wait(self) -> None:
        def is_up() -> bool:
            if self.pid is None:
                raise LabError(f"{self.name}: QEMU ended: {(self.directory / 'console').read_text()[-2000:]}")
            return bool(self._boot())

        wait_until(is_up, SECONDS_TO_BOOT, f"{self.name}: it boots")
        self._connect()

    def _boot(self) -> str:
        """Which boot it is in, or nothing."""
        words = [*self.ssh_words("-oConnectTimeout=5", "-oControlPath=none"), "cat /proc/sys/kernel/random/boot_id"]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""


def names() -> list[str]:
    """The machines there are."""
    return sorted(path.name for path in MACHINES.iterdir()) if MACHINES.is_dir() else []


def _monitored(path: Path, command: str) -> str:
    """What QEMU answers to a command of its monitor. Raises OSError when it does not."""
    asked = {"execute": "human-monitor-command", "arguments": {"command-line": command}}
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(SECONDS_TO_END)
        monitor.connect(str(path))
        with monitor.makefile("rw") as talk:
            for each in ({"execute": "qmp_capabilities"}, asked):
                talk.write(json.dumps(each) + "\n")
            talk.flush()
            # Its greeting, an answer of nothing, and events are before it.
            told = (json.loads(line).get("return") for line in talk)
            return next((text for text in told if text), "QEMU says nothing.")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _qemu(machine: Machine, image: Image, disk: Path, more: Sequence[Path]) -> Sequence[str]:
    directory = machine.directory
    # A processor that is stuck says so on the console; its addresses are those of the kernel's System.map.
    console = "console=ttyS0 root=/dev/vda mitigations=off quiet nokaslr net.ifnames=0 tsc=reliable"
    # Two network cards on one cable: the Fibre Channel of the machine. Its port names are made of their addresses.
    cable = [f"-netdev hubport,id=f{n},hubid=1 -device e1000,netdev=f{n},mac=02:00:00:00:fc:0{n}" for n in (0, 1)]
    words = [
        "qemu-system-x86_64 -accel tcg,thread=multi,tb-size=1024 -cpu max -smp 2 -machine q35,vmport=off",
        f"-m {MEMORY} -nodefaults -display none -daemonize -pidfile {directory}/pid",
        f"-kernel {image.kernel} -initrd {image.initrd}",
        f"-drive if=virtio,file={disk},format=qcow2,cache=unsafe,discard=unmap -device virtio-rng-pci",
        *(f"-drive if=virtio,file={each},format=raw,readonly=on" for each in more),
        f"-netdev user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{machine.port}-:22 -device virtio-net-pci,netdev=n",
        *cable,
        f"-serial file:{directory}/console -qmp unix:{directory}/monitor,server=on,wait=off",
    ]
    return [*" ".join(words).split(), "-append", console]
