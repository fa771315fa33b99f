# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role host_record on a host that has nothing of it yet: check mode, apply, again, with its boot guard."""

import json
import subprocess
import sys
from pathlib import Path

from integration.case import same
from integration.lab_host import LabHost

INSTALLS = ("/usr/local/sbin", "/etc/systemd/system")
UNIT = "etc-systemd-system/lxdops-boot-guard.service"
WANTS = {f"etc-systemd-system/{unit}.wants/{UNIT.split('/')[1]}" for unit in ("lxd.service", "incus.service")}


def role(host: LabHost, path: Path, *options: str) -> str:
    """What a run of the playbook prints. It sees directories of this test where it installs, and a systemd that is off,
    so it enables the unit for the next boot and starts nothing."""
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "record_hosts_group": "all",
        "host_record_guard": True,
        "host_record_host": host.https,
        "host_record_directory": str(path / "records"),
    }
    (path / "vars.json").write_text(json.dumps(variables))
    ours = {where: path / where.removeprefix("/").replace("/", "-") for where in INSTALLS}
    for directory in ours.values():
        directory.mkdir(exist_ok=True)
    mounts = [f"mount --bind {directory} {where}" for where, directory in ours.items()]
    command = [sys.executable, "-m", "ansible.cli.playbook", "--inventory", "lxd1,", "lxdops.compute.record_hosts"]
    script = "; ".join(["set -e", *mounts, 'export SYSTEMD_OFFLINE=1; exec "$@"'])
    words = ["unshare", "--mount", "sh", "-c", script, "-", *command, "--extra-vars", f"@{path}/vars.json", *options]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout
    return done.stdout


def files(path: Path) -> dict[str, str]:
    """What is there, with its mode."""
    return {
        str(file.relative_to(path)): f"{file.stat(follow_symlinks=False).st_mode & 0o777:o}"
        for file in path.rglob("*")
        if not file.is_dir() and file.name != "vars.json"
    }


def test_installed_by_check_apply_again(lxd: LabHost, tmp_path: Path) -> None:
    # In check mode there is no unit yet that could be enabled.
    assert "changed=4 " in role(lxd, tmp_path, "--check", "--diff")
    assert files(tmp_path) == {}
    assert "changed=5 " in role(lxd, tmp_path)
    found = files(tmp_path)
    shows = {"usr-local-sbin/lxdops-boot-guard": "755", UNIT: "644", "records/lxd1.json": "600"}
    same(found, shows)
    assert set(found) >= WANTS, "the unit is not enabled"
    assert "changed=0 " in role(lxd, tmp_path, "--check")
    assert "changed=0 " in role(lxd, tmp_path)
    assert files(tmp_path) == found
