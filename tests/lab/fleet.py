# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a whole lab up, mending one that is up, and taking it down."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from . import (
    certificates,
    cleanup,
    cluster,
    control_groups,
    criu,
    image,
    inventory,
    network,
    packages,
    preseed,
    product,
    state,
)
from .errors import LabError
from .host import Host, create, holder, save_certificate, start
from .processes import in_parallel, wait_until
from .state import Lab, machine_lock

BUILDS = 4


def hosts_of(lab: Lab) -> list[Host]:
    """The lab's hosts, with the programs they run."""
    what = product.incus(packages.unpacked(packages.INCUS)) if lab.product == "incus" else product.lxd()
    tool = criu.wrapper(packages.unpacked(packages.CRIU)) if lab.criu else None
    return [Host(lab, number, what, tool) for number in range(1, lab.hosts + 1)]


def up(wanted: Lab) -> Lab:
    """Make it so: build it, or mend what is there. Raises LabError where a lab of another shape has the name."""
    if wanted.criu and control_groups.hierarchies() == control_groups.UNIFIED:
        # LXC moves CRIU into the root group, which a host's is not: the kernel admits no process there
        raise LabError("--criu needs a machine with the old, separate control group hierarchies")
    with machine_lock():
        packages.install()
        images = image.build()
        hosts_of(wanted)  # fetches what they need
    present = state.load(wanted.name)
    if present is not None and present.summary.exists():
        if not present.same_shape(wanted):
            raise LabError(f"lab {wanted.name} is up with {present}: take it down first")
        hosts = hosts_of(present)
        lost = [host for host in hosts if holder(host) is None]
        if not lost:
            for host in hosts:
                network.heal(present, host.number)
            in_parallel(start, hosts)
            return present
    return _build_anew(wanted, images, BUILDS)


def _build_anew(wanted: Lab, images: dict[str, Path], times: int) -> Lab:
    cleanup.remove(wanted.name)
    try:
        return _build(wanted, images)
    except cluster.LostRace:
        if times == 1:
            raise
    return _build_anew(wanted, images, times - 1)


def _build(wanted: Lab, images: dict[str, Path]) -> Lab:
    with machine_lock():
        others = [present.subnet for name in state.names() if (present := state.load(name))]
        taken = network.subnets_in_use().union(others)
        lab = replace(wanted, subnet=network.choose_subnet(wanted.name, taken))
        state.save(lab)
    hosts = hosts_of(lab)
    network.add_bridge(lab)
    certificates.make_client_certificate(lab)
    in_parallel(_boot, hosts)
    if lab.clustered:
        cluster.bootstrap(hosts[0])
        _fill(hosts[0], images)  # before the others join: they fetch an image when they first need it
        cluster.join(hosts[0], hosts[1:])
        in_parallel(save_certificate, hosts)
        in_parallel(_trust, hosts)
    else:
        in_parallel(partial(_furnish, images=images), hosts)
    inventory.publish(lab, hosts)
    return lab


def _boot(host: Host) -> None:
    create(host)
    start(host)


def _furnish(host: Host, images: dict[str, Path]) -> None:
    preseed.apply(host, preseed.standalone(host))
    _fill(host, images)
    save_certificate(host)


def _fill(host: Host, images: dict[str, Path]) -> None:
    certificates.trust_client(host.lab, host.socket)
    preseed.add_images(host, images)


def _trust(host: Host) -> None:
    def trusted() -> bool:
        if certificates.is_trusted(host.lab, host.address, host.server_certificate):
            return True
        certificates.renew_trust(host.lab, host.socket)
        return False

    wait_until(trusted, 60, f"{host.name} trusts the lab's user")


def down(names: Sequence[str]) -> None:
    """Remove labs, complete or not."""
    for name in names:
        with state.lab_lock(name):
            cleanup.remove(name)
