# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling test programs and playbooks what there is: lab.json, inventory.yml and the client's remotes."""

import json
from collections.abc import Sequence

from . import preseed
from .certificates import client_certificate
from .host import Host
from .state import Lab, write


def variables(host: Host) -> dict[str, str]:
    """How to reach a host and what it holds; the same in lab.json and as inventory variables."""
    certificate, key = client_certificate(host.lab)
    return {
        "lab_number": str(host.number),
        "lab_address": host.address,
        "lab_socket": str(host.socket),
        "lab_endpoint": host.endpoint,
        "lab_server_cert": str(host.server_certificate),
        "lab_client_cert": str(certificate),
        "lab_client_key": str(key),
        "lab_product": host.lab.product,
        "lab_pool": preseed.POOL,
        "lab_fast_pool": preseed.FAST_POOL,
        "lab_network": preseed.NETWORK,
        "lab_daemon_directory": str(host.daemon_directory),
        "lab_client": host.product.client,
        "lxd_endpoint": str(host.socket),
    }


def inventory(hosts: Sequence[Host]) -> str:
    """An Ansible inventory: group `lab`, each host reached from the machine itself."""
    lines = ["---", "lab:", "  vars:", "    ansible_connection: local"]
    lines += ['    ansible_python_interpreter: "{{ ansible_playbook_python }}"', "  hosts:"]
    for host in hosts:
        lines.append(f"    {host.name}:")
        lines += [f"      {name}: {json.dumps(value)}" for name, value in variables(host).items()]
    return "\n".join(lines) + "\n"


def remotes(lab: Lab, hosts: Sequence[Host]) -> str:
    """The client program's config.yml (JSON is YAML): each host as a remote of its own name."""
    tls = {"auth_type": "tls", "protocol": lab.product, "public": False}
    known = {host.name: {"addr": host.endpoint, **tls} for host in hosts}
    local = {"local": {"addr": "unix://", "public": False}}
    return json.dumps({"default-remote": "local", "remotes": local | known}, indent=2) + "\n"


def publish(lab: Lab, hosts: Sequence[Host]) -> None:
    """Write it all; lab.json last, since it says that the lab is complete."""
    servers = lab.client_directory / "servercerts"
    servers.mkdir(exist_ok=True)
    for host in hosts:
        write(servers / f"{host.name}.crt", host.server_certificate.read_text())
    write(lab.client_directory / "config.yml", remotes(lab, hosts))
    write(lab.directory / "inventory.yml", inventory(hosts))
    description = {
        "name": lab.name,
        "product": lab.product,
        "clustered": lab.clustered,
        "criu": lab.criu,
        "inventory": str(lab.directory / "inventory.yml"),
        "hosts": {host.name: variables(host) for host in hosts},
    }
    write(lab.summary, json.dumps(description, indent=2) + "\n")
