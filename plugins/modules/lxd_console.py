#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The consoles of an instance: the log, sessions, and ways to a screen."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_console
short_description: Read the console of an LXD or Incus instance, talk over it, or make a way to its screen
description:
  - Returns the log of the console, opens a session on it for a websocket client or a conversation by a script, leads
    an address of the host to a VNC or RDP server of the guest, or takes a picture of the screen.
  - What the server, or the type of the instance, cannot do is refused before anything is changed, with the nearest
    that works. The instance is never started or stopped.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
attributes:
  check_mode:
    description: Can tell what it would do without doing it.
    support: full
  diff_mode:
    description: Returns what it changes, or in check mode would change, as a difference.
    support: partial
    details: For O(type=vnc) and O(type=rdp). A log and a session leave nothing that a difference could show.
notes:
  - LXD 5.0 and Incus 6.0 give each line of the log of a running container once, to whoever asks first; C(lxc console
    --show-log) takes them, too. When the container has stopped, the log is a file that has all of them. In check mode
    no log is read.
  - A session changes nothing that stays, but it is an action, so the task is changed each time.
  - The server itself types an escape sequence to the guest when a session ends, and loses what is sent in the first
    moments of one. So O(run) begins by a space and Ctrl-U, which deletes the line that stands at a prompt, until the
    guest has repeated it; at most for ten seconds, since a prompt for a password repeats nothing.
  - O(type=spice), O(type=screenshot), O(qemu) and O(guest_address) are for virtual machines. Tested on real ones of
    LXD 5.0, but for O(type=screenshot), which needs a newer server, and O(guest_address).
options:
  name:
    description: Name of the instance. It must exist.
    type: str
    required: true
  type:
    description:
      - V(log) - what the guest has written to its console. Of containers, running or not; of virtual machines on Incus.
      - V(serial) - a session on the console of a running instance.
      - V(spice) - a session on the screen of a running virtual machine.
      - V(vnc) - an address of the host that leads to a VNC server in the guest, or to QEMU's own (O(qemu)).
      - V(rdp) - an address of the host that leads to an RDP server in the guest.
      - V(screenshot) - a picture of the screen of a running virtual machine, in the file O(dest). On servers with the
        API extension C(instance_console_screenshot), which Incus has and LXD has not.
    type: str
    choices: [log, serial, spice, vnc, rdp, screenshot]
    required: true
  state:
    description: Whether there shall be such a console, of O(type=vnc) or O(type=rdp). By default V(present).
    type: str
    choices: [present, absent]
  tail:
    description: Only the last lines, so many, of a log or of what O(run) heard.
    type: int
  redact:
    description: Regular expressions. What matches in a log, or in what O(run) heard, is replaced by C(********).
    type: list
    elements: str
  clear:
    description: Empty the log of a container, once it was read. For O(type=log).
    type: bool
  run:
    description:
      - A conversation over the console, for O(type=serial), in turns. The session ends with it, so that another can
        begin; the guest is not logged out by that.
      - When something that is expected is not heard in its time, the task fails with the last lines.
    type: list
    elements: dict
    suboptions:
      send:
        description: A line to send. An empty one is the Enter key.
        type: str
      secret:
        description: A line to send, such as a password, that is shown nowhere.
        type: str
      expect:
        description:
          - A regular expression to wait for, in what was heard since the last one was found. C(^) and C($) are of
            lines. A guest repeats the line that it was sent, so take one that is not in it.
          - Without it, what comes within a moment is heard.
        type: str
      timeout:
        description: Seconds to wait for O(run[].expect). By default O(timeout).
        type: float
  timeout:
    description: Seconds to wait for what each turn of O(run) expects. By default 30.
    type: float
  force:
    description:
      - Take the console from somebody who has it open, for O(type=serial) and O(type=spice). On servers with the API
        extension C(console_force), which Incus has.
      - Without it a console that is open already is refused, naming the operation that has it. LXD tells that to those
        who are connected only, so there a session with O(dest) or O(show_secret) is opened all the same.
    type: bool
  show_secret:
    description: Return the secrets of the session, with which others may use it, in RV(connection).
    type: bool
  dest:
    description:
      - A file, on the machine where the module runs, that its owner only can read and write. It is replaced.
      - For O(type=screenshot) the picture (PNG); for O(type=serial) and O(type=spice) what RV(connection) has, with the
        secrets, as JSON.
    type: path
  listen:
    description:
      - Address of the host for O(type=vnc) and O(type=rdp). By default C(127.0.0.1). Virtual machines need
        another, which other machines reach the host by.
      - Neither protocol is safe by itself on a network that is not.
    type: str
  listen_port:
    description: Port of O(listen). By default 5900 for O(type=vnc), 3389 for O(type=rdp).
    type: int
  port:
    description: Port of the server in the guest. By default the usual one, as of O(listen_port).
    type: int
  guest_address:
    description:
      - Address of the server in the guest. By default C(127.0.0.1), the guest's own.
      - For a virtual machine it is needed, and the static address of a NIC.
    type: str
  qemu:
    description:
      - Where QEMU itself serves the screen of a virtual machine, as its option C(-vnc) takes it, like
        V(unix:/var/log/lxd/win1/vnc.sock), in place of a server in the guest. For O(type=vnc).
      - It is written to C(raw.qemu), beside what is there, while the virtual machine is stopped. A restricted project
        must allow that (C(restricted.virtual-machines.lowlevel)), and the AppArmor profile of QEMU the path.
    type: str
seealso:
  - module: lxdops.compute.lxd_interface
"""

EXAMPLES = r"""
- name: The last lines of what a guest said, without passwords
  lxdops.compute.lxd_console:
    name: web1
    type: log
    tail: 50
    redact: ['password=\S+']

- name: Whether there is a login prompt
  lxdops.compute.lxd_console:
    name: web1
    type: serial
    run:
      - send: ""
        expect: 'login: $'

- name: A session for a websocket client
  lxdops.compute.lxd_console:
    name: web1
    type: serial
    dest: "{{ playbook_dir }}/web1-console.json"

- name: The VNC server of a guest, at a port of the host
  lxdops.compute.lxd_console:
    name: web1
    type: vnc
    listen: 127.0.0.1
    listen_port: 5901

- name: No more
  lxdops.compute.lxd_console:
    name: web1
    type: vnc
    state: absent
"""

RETURN = r"""
console:
  description: The console after the task.
  returned: success
  type: dict
  contains:
    instance:
      description: The instance.
      type: str
      returned: always
      sample: web1
    type:
      description: The type of console.
      type: str
      returned: always
      sample: vnc
    state:
      description: V(present) or V(absent).
      type: str
      returned: for O(type=vnc) and O(type=rdp)
      sample: present
    address:
      description: Where viewers find it on the host. V(null) where it is absent.
      type: str
      returned: for O(type=vnc) and O(type=rdp)
      sample: 127.0.0.1:5901
    device:
      description: The device, as the server keeps it. V(null) where it is absent, or QEMU's own.
      type: dict
      returned: for O(type=vnc) and O(type=rdp)
      sample: {connect: "tcp:127.0.0.1:5900", listen: "tcp:127.0.0.1:5901", type: proxy}
log:
  description: The log, without what only a terminal understands.
  returned: for O(type=log), not in check mode
  type: str
  sample: "Debian GNU/Linux 12 web1 console\n\nweb1 login: "
transcript:
  description: What was heard.
  returned: for O(run), not in check mode
  type: str
  sample: "\nweb1 login: "
connection:
  description:
    - What a websocket client needs. It connects twice to RV(connection.url), with C(?secret=) and one of the secrets;
      first with the one of C(control), then with that of C(data), where what the guest says comes as binary messages
      and what is typed goes. Closing both ends the session. What is sent in the first moments may be lost.
    - It must be let in as this task was, which Incus looks at (by the same client certificate, or at the unix socket),
      and trust the server's certificate. At a unix socket the path of the URL is what is asked for; the name in it
      stands for nothing.
    - A SPICE client opens the data channel once for each of its own channels.
    - The server keeps a session to which nobody has connected until it is started anew. Incus takes the console for
      open meanwhile; O(force) ends that.
  returned: for O(type=serial) without O(run), and O(type=spice); not in check mode
  type: dict
  contains:
    operation:
      description: The operation of the server.
      type: str
      returned: always
      sample: 1c4ac9a0-4b5e-4d76-bd4c-1b5e64b6b0d4
    url:
      description: The URL of both channels, without the secrets.
      type: str
      returned: always
      sample: wss://lxd1.example.org:8443/1.0/operations/1c4ac9a0-4b5e-4d76-bd4c-1b5e64b6b0d4/websocket
    socket:
      description: The unix socket to connect to, on the host. V(null) over https.
      type: str
      returned: always
      sample: /var/lib/lxd/unix.socket
    created_at:
      description: When it was opened, by the clock of the server.
      type: str
      returned: always
      sample: "2026-11-24T02:29:51.460390001Z"
    secrets:
      description: The secrets of the channels C(data) and C(control).
      type: dict
      returned: when O(show_secret) is V(true)
      sample: {control: "0f3a...", data: "77b1..."}
command:
  description: The command that shows the console to a person, at the machine where the module runs.
  returned: for O(type=serial) and O(type=spice)
  type: str
  sample: LXD_SOCKET=/var/lib/lxd/unix.socket lxc console web1
prepare:
  description: The command that makes the server known to the one of RV(command), once. V(null) where none is needed.
  returned: for O(type=serial) and O(type=spice)
  type: str
  sample: lxc remote add lxd1 https://lxd1.example.org:8443
steps:
  description: What was done, or in check mode would be done.
  returned: always
  type: list
  elements: str
  sample: ["make a vnc console of web1 at 127.0.0.1:5901, to tcp:127.0.0.1:5900"]
"""

from ansible_collections.lxdops.compute.plugins.module_utils.console_domain import converge_console
from ansible_collections.lxdops.compute.plugins.module_utils.console_params import console_spec
from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_spec, run


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    return {"argument_spec": {**connection_spec(), **console_spec()}}


work = converge_console


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
