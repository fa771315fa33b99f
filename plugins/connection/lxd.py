# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks inside an instance, over the API of its LXD or Incus server."""

from __future__ import annotations

DOCUMENTATION = r"""
name: lxd
author: lxdops.compute contributors (@lxdops)
short_description: Run tasks inside LXD and Incus instances, over the API
version_added: 0.1.0
description:
  - Runs commands in an instance, and moves files to and from it, over the API of its server. The controller needs
    neither the C(lxc) or C(incus) command nor a network path to the instance, and the instance needs no SSH server.
  - The server is reached over its unix socket, where the controller is the LXD host, or over C(https://).
  - For containers, and for virtual machines in which the agent runs.
requirements:
  - pylxd >= 2.4.2, on the controller
notes:
  - A command runs as long as it takes. Use the C(timeout) keyword of a task to limit it; the command then goes on in
    the instance.
  - Commands have an empty standard input, so there is no pipelining, and no C(become) with a password. None is needed
    to become another user from C(root).
  - The server keeps the output of a command in a file until it was read. A controller that is killed meanwhile leaves
    that file behind, among the logs of the instance.
options:
  remote_addr:
    description: Name of the instance. Of a name with dots, the part before the first dot is taken.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
      - name: ansible_lxd_host
  remote_user:
    description:
      - The user of the instance whom commands run as. Other than V(root), the instance must have C(su) and C(id).
      - Files are sent and fetched by the server, with the permissions of C(root). What is sent belongs to the user.
    type: str
    default: root
    vars:
      - name: ansible_user
      - name: ansible_lxd_user
    env:
      - name: ANSIBLE_REMOTE_USER
    ini:
      - section: defaults
        key: remote_user
    keyword:
      - name: remote_user
  executable:
    description: Path of the shell in the instance that runs the commands.
    type: str
    default: /bin/sh
    vars:
      - name: ansible_executable
      - name: ansible_lxd_executable
  endpoint:
    description:
      - Path of the daemon's unix socket, or its C(https://) URL.
      - Without it, the daemon of the controller itself is found, LXD or Incus. Two daemons on one machine are an error.
    type: str
    vars:
      - name: ansible_lxd_endpoint
    env:
      - name: LXD_ENDPOINT
  client_cert:
    description: Path of the client certificate (PEM), for an C(https://) endpoint.
    type: path
    vars:
      - name: ansible_lxd_client_cert
    env:
      - name: LXD_CLIENT_CERT
  client_key:
    description: Path of the client certificate's key (PEM).
    type: path
    vars:
      - name: ansible_lxd_client_key
    env:
      - name: LXD_CLIENT_KEY
  server_cert:
    description:
      - Path of the server's certificate (PEM). The server must present exactly this one.
      - Without it and O(server_fingerprint) the certificate must be signed by an authority that the controller knows.
    type: path
    vars:
      - name: ansible_lxd_server_cert
    env:
      - name: LXD_SERVER_CERT
  server_fingerprint:
    description: SHA-256 fingerprint of the server's certificate. The server must present a certificate with it.
    type: str
    vars:
      - name: ansible_lxd_server_fingerprint
    env:
      - name: LXD_SERVER_FINGERPRINT
  project:
    description: The project of the server in which the instance is.
    type: str
    default: default
    vars:
      - name: ansible_lxd_project
    env:
      - name: LXD_PROJECT
seealso:
  - module: lxdops.compute.lxd_instance
"""

EXAMPLES = r"""
# Inventory: two instances of an LXD host, reached over https
instances:
  hosts:
    web1:
    web2:
  vars:
    ansible_connection: lxdops.compute.lxd
    ansible_lxd_endpoint: https://lxd1.example.org:8443
    ansible_lxd_client_cert: ~/.config/lxc/client.crt
    ansible_lxd_client_key: ~/.config/lxc/client.key
    ansible_lxd_server_cert: ~/.config/lxc/servercerts/lxd1.crt
"""

import math
import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display
from ansible_collections.lxdops.compute.plugins.module_utils.errors import LxdError, NotFound, Unreachable
from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_from
from ansible_collections.lxdops.compute.plugins.module_utils.lxd import Server, connect

# The path of a request is positional-only, so that the query may have a "path" of its own, as the files API wants.
# pylint: disable=kwarg-superseded-by-positional-arg

MOST_LINKS = 40
"""Symbolic links that lead from one to the next before we give up, as on Linux."""

display = Display()


class Connection(ConnectionBase):  # type: ignore[misc]
    """A connection to one instance. It holds one kept-alive connection to the server."""

    transport = "lxdops.compute.lxd"
    has_pipelining = False
    _connected: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._server: Server | None = None

    @property
    def _on(self) -> Server:
        if self._server is None:
            raise AnsibleError("not connected")
        return self._server

    @property
    def _instance(self) -> str:
        return str(self.get_option("remote_addr")).split(".", 1)[0]

    @property
    def _path(self) -> str:
        return f"instances/{self._instance}"

    @property
    def _user(self) -> str:
        return self.get_option("remote_user") or "root"

    def _connect(self) -> Connection:
        """Connect to the server and see that the instance runs there."""
        if not self._connected:
            display.vvv(f"ESTABLISH LXD CONNECTION FOR USER: {self._user}", host=self._instance)
            with _failures(f"instance {self._instance}"):
                # A command may take its time.
                options = replace(connection_from(self.get_options()), wait_timeout=math.inf)
                self._server = connect(options, os.environ)
                _check_runs(self._server, self._instance)
            self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a command line; returns its exit code, standard output and standard error."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        if in_data:
            raise AnsibleError("the connection lxdops.compute.lxd gives commands no standard input")
        if sudoable and self.become and self.become.expect_prompt():
            raise AnsibleError(
                "the connection lxdops.compute.lxd cannot enter a become password: "
                "connect as root (remote_user), from where none is needed"
            )
        display.vvv(f"EXEC {to_text(cmd)}", host=self._instance)
        with _failures(f"run a command in instance {self._instance}"):
            return self._run(cmd)

    def put_file(self, in_path: str, out_path: str) -> None:
        """Send a file of the controller. A new one is the remote user's, and for nobody else to read."""
        super().put_file(in_path, out_path)
        display.vvv(f"PUT {in_path} TO {out_path}", host=self._instance)
        if not os.path.isfile(to_bytes(in_path)):
            raise AnsibleFileNotFound(f"{in_path} is not a file of the controller")
        files, path = f"{self._path}/files", self._absolute(out_path)
        doing = f"send {out_path} to instance {self._instance}"
        with _failures(doing, not_found=AnsibleError), open(to_bytes(in_path), "rb") as content:
            uid, gid = self._owner
            facts = {"type": "file", "mode": "0600", "uid": uid, "gid": gid}
            try:
                self._on.upload(files, content, facts, path=path)
            except Unreachable:
                # Over https this is also what it looks like when the server refuses a file in the midst of reading it.
                self._on.get(files, path=posixpath.dirname(path))
                raise

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Fetch a file of the instance."""
        super().fetch_file(in_path, out_path)
        display.vvv(f"FETCH {in_path} TO {out_path}", host=self._instance)
        doing = f"fetch {in_path} from instance {self._instance}"
        path = self._absolute(in_path)
        with _failures(doing, not_found=AnsibleError):
            for _link in range(MOST_LINKS):
                with self._on.download(f"{self._path}/files", path=path) as (headers, pieces):
                    kind = headers[f"x-{self._on.product}-type"]
                    if kind == "file":
                        with open(to_bytes(out_path), "wb") as target:
                            target.writelines(pieces)
                        return
                    if kind != "symlink":
                        raise AnsibleError(f"{doing}: it is a {kind}, not a file")
                    # Its body is where it leads.
                    path = posixpath.join(posixpath.dirname(path), to_text(b"".join(pieces)))
        raise AnsibleError(f"{doing}: it leads over more than {MOST_LINKS} symbolic links")

    def reset(self) -> None:
        """Connect anew: the instance may be another one, or have other users, by now."""
        self.close()
        self._connect()

    def close(self) -> None:
        """End the connection to the server."""
        if self._server:
            self._server.close()
        self._server = None
        self.__dict__.pop("_owner", None)
        self._connected = False

    def _run(self, command: str) -> tuple[int, bytes, bytes]:
        shell = self.get_option("executable")
        words = [shell, "-c", command]
        if self._user != "root":
            words = ["su", "-s", shell, self._user, "-c", f"cd >/dev/null 2>&1; {command}"]
        request = {"command": words, "interactive": False, "record-output": True, "wait-for-websocket": False}
        # The output is fetched rather than streamed: websockets break off over https, and lose what was not read yet.
        done = self._on.post(f"{self._path}/exec", request)["metadata"]
        output, errors = (self._take(done["output"][stream]) for stream in ("1", "2"))
        return done["return"], output, errors

    def _take(self, url: str) -> bytes:
        """The content of a file of output, which is removed from the server."""
        path = url.split("?")[0].split("/", 2)[2]
        with self._on.download(path) as (_headers, pieces):
            content = b"".join(pieces)
        self._on.delete(path)
        return content

    @cached_property
    def _owner(self) -> tuple[str, str]:
        """User and group number of the remote user."""
        if self._user == "root":
            return "0", "0"
        code, output, errors = self._run("id -u && id -g")
        if code:
            raise AnsibleConnectionFailure(f"user {self._user} in instance {self._instance}: {to_text(errors).strip()}")
        uid, gid = to_text(output).split()
        return uid, gid

    @staticmethod
    def _absolute(path: str) -> str:
        return posixpath.join("/", path)


def _check_runs(on: Server, instance: str) -> None:
    """Raise where the instance is missing or not running, and say what there is."""
    found = on.find(f"instances/{instance}")
    where = f"{on.name}, project {on.project}"
    if found is None:
        names = sorted(url.rsplit("/", 1)[1] for url in on.get("instances"))
        raise AnsibleConnectionFailure(f"no instance {instance} on {where}: found {', '.join(names) or 'none'}")
    if found["status"] not in ("Running", "Ready"):
        state = found["status"].lower()
        raise AnsibleConnectionFailure(f"instance {instance} on {where} is {state}, it must be running")


@contextmanager
def _failures(doing: str, not_found: type[AnsibleError] = AnsibleConnectionFailure) -> Iterator[None]:
    """Turn our errors into Ansible's."""
    try:
        yield
    except LxdError as error:
        kind = not_found if isinstance(error, NotFound) else AnsibleConnectionFailure
        raise kind(f"{doing}: {error.message}") from None
