# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host: a holder process that keeps its namespaces, and the daemon that lives in them."""

import os
import signal
import subprocess
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from . import api, control_groups, network
from .errors import LabError
from .processes import command_line, descendants, innermost_pid, is_alive, kill, members, namespace, run, wait_until
from .product import SYSTEM_PATH, Product
from .state import Lab, write

STARTS = 3
HOLDER = Path(__file__).with_name("holder.sh")


@dataclass(frozen=True)
class Host:
    """Host `number` of a lab, counted from 1."""

    lab: Lab
    number: int
    product: Product
    criu: Path | None = None

    @property
    def name(self) -> str:
        """Its host name, the name of its cluster member and of its inventory host."""
        return f"{self.lab.name}-host{self.number}"

    @property
    def directory(self) -> Path:
        """Its files on the machine."""
        return self.lab.directory / f"host{self.number}"

    @property
    def data(self) -> Path:
        """The daemon's directory as the daemon itself sees it."""
        return self.directory / "data"

    @property
    def daemon_directory(self) -> Path:
        """The daemon's directory as seen from the machine (a link into the host's own mounts)."""
        return self.directory / self.lab.product

    @property
    def socket(self) -> Path:
        """The daemon's unix socket, usable from the machine."""
        return self.daemon_directory / "unix.socket"

    @property
    def server_certificate(self) -> Path:
        """The daemon's certificate, for clients to pin."""
        return self.directory / "server.crt"

    @property
    def address(self) -> str:
        """Where it is in the lab's subnet."""
        return network.address(self.lab, self.number)

    @property
    def endpoint(self) -> str:
        """The URL of its API."""
        return f"https://{self.address}:8443"


def client_environment(host: Host) -> dict[str, str]:
    """For the client program, to talk to this host."""
    return host.product.client_environment(host.daemon_directory, host.lab.client_directory)


def holder(host: Host) -> int | None:
    """The process that keeps the host's namespaces: number 1 in there, in the host's network namespace."""
    inside = namespace(network.namespace_file(host.lab.name, host.number))
    if inside is None:
        return None
    return next((pid for pid in members("net", inside) if innermost_pid(pid) == 1), None)


def daemon(host: Host, held_by: int) -> int | None:
    """The daemon's process."""
    inside = namespace(Path(f"/proc/{held_by}/ns/pid"))
    if inside is None:
        return None
    words = (host.product.daemon, "--group")  # also while a shell is about to become the daemon
    return next((pid for pid in members("pid", inside) if words in pairwise(command_line(pid))), None)


def _others(host: Host) -> list[Path]:
    """The directories of the lab's other hosts."""
    return [host.lab.directory / f"host{number}" for number in range(1, host.lab.hosts + 1) if number != host.number]


def create(host: Host) -> None:
    """Make the host's namespaces, without a daemon in them."""
    for directory in (host.directory, host.data, host.directory / "sys"):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o711)
    network.add_host(host.lab, host.number)
    control_groups.add_host(host.lab.name, host.number)
    environment = {
        "PATH": SYSTEM_PATH,
        "HOST_NAME": host.name,
        "HOST_DIR": str(host.directory),
        "GROUP": control_groups.host_group(host.lab.name, host.number),
        "HIERARCHIES": " ".join(control_groups.hierarchies()),
        "OVERLAY": str(host.product.prefix or ""),
        "ALIASES": " ".join(str(other) for other in _others(host)) if host.criu else "",
    }
    namespace_file = network.namespace_file(host.lab.name, host.number)
    log = host.directory / "holder.log"
    with (
        open(log, "w", encoding="utf-8") as errors,
        subprocess.Popen(
            ["nsenter", f"--net={namespace_file}", "sh", str(HOLDER), "enter"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        ready = process.stdout.readline()
        if ready:
            process.returncode = 0  # it goes on by itself: leaving this block shall not wait for it
    if not ready:
        raise LabError(f"{host.name}: its namespaces could not be made: {log.read_text().strip()}")
    held_by = holder(host)
    if held_by is None:
        raise LabError(f"{host.name}: its first process ended at once: {log.read_text().strip()}")
    link = host.daemon_directory
    link.unlink(missing_ok=True)
    link.symlink_to(f"/proc/{held_by}/root{host.data}")


def start(host: Host, seconds: float = 120) -> None:
    """Start the daemon where it does not run, and return when it answers.

    A daemon that ends by itself, or does not answer within `seconds`, is started again, as systemd would do: on a slow
    machine LXD gives up on its own database. Raises LabError with what it said when no start helped.
    """
    held_by = holder(host)
    if held_by is None:
        raise LabError(f"{host.name}: not there; run `up` again")
    for _ in range(STARTS):
        running = daemon(host, held_by) or _launch(host, held_by)
        try:
            wait_until(partial(_has_answer, host, running), seconds, f"{host.name}: an answer of its daemon")
        except LabError:
            _stacks(host, running)
            continue
        if api.is_ready(host.socket):
            return
    said = (host.directory / "daemon.out").read_text(errors="replace").strip()[-1500:]
    raise LabError(
        f"{host.name}: its daemon ended or gave no answer {STARTS} times ({host.directory}/daemon.out):\n{said}"
    )


def _has_answer(host: Host, running: int) -> bool:
    """Whether the daemon answers, or has ended and never will."""
    return api.is_ready(host.socket) or not is_alive(running)


def _stacks(host: Host, running: int) -> None:
    """End a daemon that does not answer; Go writes where each of its threads stood to daemon.out."""
    os.kill(running, signal.SIGABRT)
    try:
        wait_until(lambda: not is_alive(running), 20, "the end")
    except LabError:
        kill_daemon(host)


def _launch(host: Host, held_by: int) -> int:
    """The daemon, in the host's namespaces and control groups, as a child of the host's first process: its process.

    A process has no command line for a moment while a program takes it over, so that one look is not enough to tell
    that there is none: a second daemon beside the first would ruin the data of both.
    """
    path = f"{host.criu}:{SYSTEM_PATH}" if host.criu else SYSTEM_PATH
    environment = {"PATH": path, "HOME": str(host.data), host.product.directory_variable: str(host.data)}
    groups = [
        str(control_groups.MOUNT / hierarchy / control_groups.host_group(host.lab.name, host.number) / "init.scope")
        for hierarchy in control_groups.hierarchies()
    ]
    out, log = host.directory / "daemon.out", host.directory / "daemon.log"
    for file in (out, log):
        file.touch(mode=0o600)
    enter_groups = 'for group; do shift; [ "$group" = -- ] && break; echo $$ > "$group/cgroup.procs"; done; exec "$@"'
    enter = ["nsenter", "-t", str(held_by), "--mount", "--net", "--pid", "--uts", "--cgroup"]
    # in the background of a shell that ends
    background = ["sh", "-c", 'out=$1; shift; setsid "$@" < /dev/null >> "$out" 2>&1 &', "sh", str(out)]
    words = [host.product.daemon, "--group", "root", "--logfile", str(log)]
    run(["sh", "-c", enter_groups, "sh", *groups, "--", *enter, *background, *words], env=environment)
    return wait_until(partial(daemon, host, held_by), 30, f"{host.name}: the process of its daemon (see {out})")


def kill_daemon(host: Host) -> None:
    """SIGKILL the daemon; its containers live on."""
    held_by = holder(host)
    running = daemon(host, held_by) if held_by is not None else None
    if running is None:
        raise LabError(f"{host.name}: no daemon runs")
    kill(running)
    wait_until(lambda: not is_alive(running), 10, f"{host.name}: the end of its daemon")


def power_off(host: Host) -> None:
    """SIGKILL all that runs on the host, its instances too, as when its power fails; its disks stay."""
    held_by = holder(host)
    if held_by is None:
        raise LabError(f"{host.name}: not there; run `up` again")
    group = control_groups.host_group(host.lab.name, host.number)
    groups = [control_groups.MOUNT / hierarchy / group for hierarchy in control_groups.hierarchies()]
    running = daemon(host, held_by)
    if running is not None:
        kill(running)  # first, or it would note that its instances have stopped

    def is_off() -> bool:
        left = [pid for pid in descendants(held_by) if command_line(pid)]
        for pid in left:
            kill(pid)
        control_groups.thaw(groups)
        return not left and daemon(host, held_by) is None

    wait_until(is_off, 30, f"{host.name}: the end of all that runs on it")


def save_certificate(host: Host) -> None:
    """Write the certificate that the daemon presents."""
    write(host.server_certificate, api.call(host.socket, "GET", "/1.0")["environment"]["certificate"])
