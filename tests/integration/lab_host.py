# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of a lab, as tests see it: through the product's own client and socket, never through this collection."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import api, fleet, state
from lab.host import Host, holder

LAB = Path(__file__).parents[1] / "lab"
PREFIX = os.environ.get("LAB_NAME") or "it"
"""Begins the names of the labs of this test run."""


class CommandFailed(AssertionError):
    """A command or request that a test needs ended with an error."""


def lab(*words: str) -> str:
    """Run a command of the lab; what it printed."""
    return run([sys.executable, str(LAB), *words])


def run(words: Sequence[str], environment: Mapping[str, str] | None = None, text: str = "") -> str:
    """The standard output of a command, with what it said on failure in the error."""
    done = subprocess.run(words, env=environment, input=text, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise CommandFailed(f"{' '.join(words)}: {done.stderr or done.stdout}")
    return done.stdout


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Poll a condition until it is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not so after {seconds:g} seconds"
        time.sleep(0.05)


@dataclass(frozen=True)
class LabHost:
    """One host; `facts` is its part of lab.json."""

    lab: str
    number: int
    facts: Mapping[str, str]

    @property
    def product(self) -> str:
        return self.facts["lab_product"]

    @property
    def unix(self) -> dict[str, str]:
        """Connection options for its unix socket."""
        return {"endpoint": self.facts["lab_socket"]}

    @property
    def https(self) -> dict[str, str]:
        """Connection options for its https URL."""
        options = {"server_cert": "lab_server_cert", "client_cert": "lab_client_cert", "client_key": "lab_client_key"}
        return {"endpoint": self.facts["lab_endpoint"], **{key: self.facts[fact] for key, fact in options.items()}}

    @property
    def inside(self) -> list[str]:
        """The command that runs another one in the host's network."""
        return ["nsenter", f"--net=/var/lib/lxdops-lab/{self.lab}/host{self.number}.net"]

    @property
    def machine(self) -> Host:
        """The host as the lab itself knows it."""
        made = state.load(self.lab)
        assert made is not None
        return fleet.hosts_of(made)[self.number - 1]

    @property
    def client_environment(self) -> dict[str, str]:
        """What points the product's client at the host."""
        directory, configuration = {"lxd": ("LXD_DIR", "LXD_CONF"), "incus": ("INCUS_DIR", "INCUS_CONF")}[self.product]
        own = str(Path(self.facts["lab_client_cert"]).parent)
        daemon = self.facts["lab_daemon_directory"]
        return {"PATH": os.environ["PATH"], "HOME": own, directory: daemon, configuration: own}

    def client(self, *words: str, text: str = "") -> str:
        """Run the product's client against the host; what it printed."""
        return run([self.facts["lab_client"], *words], self.client_environment, text)

    def query(self, path: str) -> Any:
        """What `lxc query` shows."""
        return json.loads(self.client("query", f"/1.0/{path}".rstrip("/")))

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The `metadata` of the socket's answer, once its operation has ended. For what is before and beside a test."""
        socket = Path(self.facts["lab_socket"])
        answer = api.call(socket, method, f"/1.0/{path}".rstrip("/"), body, timeout=120)
        if isinstance(answer, dict) and answer.get("class") == "task":
            answer = api.call(socket, "GET", f"/1.0/operations/{answer['id']}/wait", timeout=120)
            if answer["status_code"] != 200:
                raise CommandFailed(f"{method} {path}: {answer['err']}")
        return answer

    def instances(self, project: str = "default") -> list[str]:
        """The names of all instances of a project."""
        return [url.rsplit("/", 1)[1].split("?")[0] for url in self.call("GET", f"instances?project={project}")]

    def instance(self, name: str) -> dict[str, Any] | None:
        """An instance with all its settings, as `lxc query` shows it, or None."""
        if name not in self.instances():
            return None
        found: dict[str, Any] = self.query(f"instances/{name}")
        return found

    def everything(self) -> dict[str, Any]:
        """All that a task could change on the host: to be compared."""
        found = {
            # Incus gives images in any order.
            kind: sorted(
                self.call("GET", f"{kind}?recursion=1"), key=lambda one: str(one.get("fingerprint", one.get("name")))
            )
            for kind in ("instances", "profiles", "images", "networks")
        }
        for entry in found["profiles"] + found["networks"]:
            del entry["used_by"]
            entry["locations"] = sorted(entry.get("locations") or [])  # LXD gives them in any order
        for pool in ("default", "fast"):
            found[f"volumes of {pool}"] = sorted(self.call("GET", f"storage-pools/{pool}/volumes"))
        return found

    def make(self, name: str, *, power: str = "stopped", **body: Any) -> None:
        """A new container from the image `tiny`, or of another `source`; `power`: stopped, running or frozen."""
        source = {"type": "image", "alias": "tiny"}
        self.call("POST", "instances", {"name": name, "source": source, "type": "container"} | body)
        self._start(name, power)

    def _start(self, name: str, power: str) -> None:
        if power != "stopped":
            self.power(name, "start")
            wait_until(lambda: self._listens(name), f"{name} on {self.facts['lab_endpoint']}: its init takes signals")
        if power == "frozen":
            self.power(name, "freeze")

    def _listens(self, name: str) -> bool:
        """Whether a guest's init has got so far that it does not miss a request to stop: to number 1 of a process
        namespace the kernel gives only the signals that it has a handler for."""
        pid = self.call("GET", f"instances/{name}/state")["pid"]
        if pid <= 0:
            return True  # it has ended already
        caught = Path(f"/proc/{holder(self.machine)}/root/proc/{pid}/status").read_text().split("SigCgt:")[1].split()[0]
        return bool(int(caught, 16) & 1 << (signal.SIGPWR - 1))

    def given(self, name: str, *, power: str = "stopped", **body: Any) -> None:
        """What `make` makes, of one that is left from before, where only settings and power differ: that saves time."""
        found = self.instance(name)
        wanted: dict[str, Any] = {"config": {}, "devices": {}, "profiles": ["default"], "description": ""}
        wanted |= {"ephemeral": False} | body
        roots = "root" in wanted["devices"] or (found and "root" in found["devices"])
        if found is None or roots or found["ephemeral"] or wanted["ephemeral"] or "source" in body:
            self.remove(name)
            self.make(name, power=power, **body)
            return
        status = found["status"].lower()
        if status not in (power, "stopped"):
            self.power(name, "stop", force=True)
            found, status = self.query(f"instances/{name}"), "stopped"
        own = {key: value for key, value in found["config"].items() if key.startswith(("volatile.", "image."))}
        wanted["config"] = own | wanted["config"]
        self.call("PUT", f"instances/{name}", {"architecture": found["architecture"]} | wanted)
        if status != power:
            self._start(name, power)

    def power(self, name: str, action: str, **options: Any) -> None:
        """Change the power state of an instance."""
        self.call("PUT", f"instances/{name}/state", {"action": action, "timeout": 30} | options)

    def remove(self, *names: str) -> None:
        """Delete instances, running or not, where they exist."""
        for instance in self.call("GET", "instances?recursion=1"):
            name = instance["name"]
            if name in names:
                if instance["status"] != "Stopped":
                    self.power(name, "stop", force=True, timeout=120)
                if name in self.instances():  # an ephemeral one is gone
                    self.call("DELETE", f"instances/{name}")

    def read(self, name: str, path: str) -> str:
        """A file of a running instance."""
        return self.client("exec", name, "--", "cat", path)

    def shell(self, name: str, script: str) -> str:
        """What a script in a running instance prints, on either output."""
        return self.client("exec", name, "--", "sh", "-c", f"{{ {script}; }} 2>&1; true")

    @contextmanager
    def listener(self, port: int) -> Iterator[None]:
        """Something on the host itself that has a port of its loopback address."""
        script = (
            f"import socket, sys; s = socket.create_server(('127.0.0.1', {port})); print(flush=True); sys.stdin.read()"
        )
        words = [*self.inside, sys.executable, "-c", script]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline(), "it did not get the port"
            yield  # It ends when its input does.

    def write(self, name: str, path: str, text: str) -> None:
        """Write a file of an instance, running or not, and the directories on its way."""
        self.client("file", "push", "--create-dirs", "-", f"{name}{path}", text=text)


def where_each_is(hosts: Sequence[LabHost], names: Iterable[str]) -> dict[str, LabHost]:
    """The host of each instance. Fails unless each is on exactly one of the hosts, and no other is on any."""
    found = sorted(name for host in hosts for name in host.instances())
    assert found == sorted(names)
    return {name: host for host in hosts for name in host.instances()}


def connections(hosts: Sequence[LabHost]) -> dict[str, dict[str, str]]:
    """Hosts as the option `targets` takes them, over https from a controller that is none of them."""
    return {f"other{number}": dict(host.https) for number, host in enumerate(hosts)}


def load(name: str) -> list[LabHost]:
    """The hosts of a lab that is up."""
    facts = json.loads(Path(f"/var/lib/lxdops-lab/{name}/lab.json").read_text())["hosts"]
    return [LabHost(name, number, host) for number, host in enumerate(facts.values(), 1)]
