# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""As users run it: a playbook, over ssh, with the collection as it was built."""

from pathlib import Path

from volumes.place import CHAP_SECRET, NAME, PASSPHRASE, Guest, storage
from volumes.playbook import play

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
        done = play(guest, tmp_path, TASKS, {"wanted": wanted})
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "changed=2 " in done.stdout
        assert CHAP_SECRET not in said
        assert PASSPHRASE not in said
        assert "[WARNING]" not in said, said
        assert "Eventlet" not in said
        place.nothing_is_left()
