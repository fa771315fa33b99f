# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible, as users run it on the storage machine: over ssh."""

import json
import subprocess
from pathlib import Path
from typing import Any

from volumes.place import Guest


def play(
    guest: Guest, directory: Path, text: str, variables: dict[str, Any], *options: str
) -> subprocess.CompletedProcess[str]:
    """Run a playbook on the machine."""
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
    (directory / "play.yml").write_text(text)
    (directory / "wanted.json").write_text(json.dumps(variables))
    (directory / "wanted.json").chmod(0o600)
    return subprocess.run(
        ["ansible-playbook", "-vvv", "--diff", "-i", "hosts.json", "-e", "@wanted.json", *options, "play.yml"],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
