# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""As users run it: a playbook, over ssh, with the collection as it was built."""

import json
import subprocess
from pathlib import Path
from typing import Any

from volumes.place import CHAP_SECRET, NAME, PASSPHRASE, Guest, storage

TASKS = """
- hosts: all
  gather_facts: false
  environment: {PYTHONPATH: /opt/lxdops}
  tasks:
    - name: Attach
      lxdops.compute.lxd_volume_attachment: &wanted
        instance: "{{ wanted.instance }}"
        volume: "{{ wanted.volume }}"
        connection: "{{ wanted.connection }}"
        encryption: "{{ wanted.encryption }}"
        path: "{{ wanted.path }}"
      register: first
    - name: Again
      lxdops.compute.lxd_volume_attachment: *wanted
      register: second
      failed_when: second is changed
    - name: Gone
      lxdops.compute.lxd_volume_attachment:
        instance: "{{ wanted.instance }}"
        volume: "{{ wanted.volume }}"
        state: detached
    - name: What is left
      lxdops.compute.lxd_volume_attachment_info: {connector: true}
      register: info
      failed_when: info.volumes or not info.connector.initiator
"""


def test_a_playbook_attaches_and_detaches(guest: Guest, tmp_path: Path) -> None:
    with storage(guest, "luks2", "play", encrypted=True) as place:
        wanted = place.about({"path": "/dev/data", "instance": NAME})
        done = play(guest, tmp_path, {"wanted": wanted})
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "changed=2 " in done.stdout
        assert CHAP_SECRET not in said
        assert PASSPHRASE not in said
        assert "[WARNING]" not in said, said
        assert "Eventlet" not in said
        place.nothing_is_left()


def play(guest: Guest, directory: Path, variables: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the tasks on the machine."""
    words = guest.machine.ssh_words()
    host = {
        "ansible_host": "127.0.0.1",
        "ansible_port": guest.machine.port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(guest.machine.directory / "key"),
        "ansible_ssh_common_args": " ".join(word for word in words if word.startswith("-o")),
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_remote_tmp": "/run/ansible",
    }
    (directory / "hosts.json").write_text(json.dumps({"all": {"hosts": {"storage": host}}}))
    (directory / "play.yml").write_text(TASKS)
    (directory / "wanted.json").write_text(json.dumps(variables))
    (directory / "wanted.json").chmod(0o600)
    return subprocess.run(
        ["ansible-playbook", "-vvv", "--diff", "-i", "hosts.json", "-e", "@wanted.json", "play.yml"],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
