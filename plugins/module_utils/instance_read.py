# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Reads an instance, and of its server what a plan for it needs: one GET when nothing is to be done."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from .cordon import cordon_of
from .instance import Current, Desired, Origin, Profile, Server, Source, current_from, made_from_surely
from .instance_edit import edited
from .instance_record import owned
from .key_kinds import Key
from .known_keys import from_metadata, known
from .steps import Reader

DRIVERS = {"lxc": "container", "qemu": "virtual-machine"}


def read(on: Reader, desired: Desired) -> Current:
    """The instance as it is, or an absent one."""
    server = _server(on.name, on.product, on.environment["driver"])
    keys = described_keys(on, desired)
    if keys:
        server = replace(server, keys=keys)
    current = read_current(on, desired.name, server)
    if desired.state == "absent":
        return current
    if not current.exists or current.unfinished:
        return _with_creation_facts(on, desired, current)
    return _with_edit_facts(on, desired, current)


@cache
def _server(name: str, product: str, drivers: str) -> Server:
    """What all instances of a server have in common."""
    return Server(name, product, types=frozenset(DRIVERS.get(driver, driver) for driver in drivers.split(" | ")))


def read_current(on: Reader, name: str, server: Server) -> Current:
    """An instance as it is, or an absent one; no more than one GET."""
    data, etag = on.find_tagged(f"instances/{name}") or (None, "")
    return current_from(name, data, etag, server)


def described_keys(on: Reader, desired: Desired) -> dict[str, Key]:
    """What the server says of its config keys; asked only when the task names one that is not in our table."""
    if all(known(key, {}) for key in desired.config) or not on.has("metadata_configuration"):
        return {}
    return from_metadata(on.get("metadata/configuration"))


def _with_creation_facts(on: Reader, desired: Desired, current: Current) -> Current:
    origin = read_origin(on, desired)
    names = desired.profiles if desired.profiles is not None else origin.profiles
    members = _members(on)
    server = replace(
        with_places(on, current.server),
        profiles=read_profiles(on, ("default",) if names is None else names),
        members=members,
        cordoned=cordon_of(on, desired.target if desired.target and desired.target in members else ""),
    )
    return replace(current, server=server, origin=origin)


def _with_edit_facts(on: Reader, desired: Desired, current: Current) -> Current:
    server = current.server
    if desired.profiles not in (None, current.profiles):
        server = replace(server, profiles=read_profiles(on, desired.profiles or ()))
    elif any(options is None for options in desired.devices.values()):
        server = replace(server, profiles=read_profiles(on, current.profiles))
    if desired.target:
        server = replace(server, members=_members(on))
    if server is not current.server:
        current = replace(current, server=server)
    if desired.source and desired.source.type == "image" and not made_from_surely(desired.source, current):
        current = replace(current, origin=read_origin(on, desired))
    if not (desired.devices or desired.root or desired.purge_devices) and desired.profiles is None:
        return current
    after = edited(desired, current)
    if after.devices != current.devices or after.profiles != current.profiles:
        current = replace(current, server=with_places(on, server))
    return current


def with_places(on: Reader, server: Server) -> Server:
    """A server with its pools and managed networks."""
    pools = {
        pool["name"]: (pool["driver"], pool["driver"] != "dir" or pool["config"].get("user.lxdops.quotas") == "true")
        for pool in on.get("storage-pools", recursion=1)
    }
    networks = {
        network["name"]: (network["type"], network["config"].get("dns.mode") != "none")
        for network in on.get("networks", recursion=1)
        if network["managed"]
    }
    return replace(server, pools=pools, networks=networks)


def read_profiles(on: Reader, names: tuple[str, ...]) -> dict[str, Profile]:
    """The profiles of these names that there are."""
    found = {name: on.find(f"profiles/{name}") for name in names}
    return {name: Profile(data["config"], data["devices"]) for name, data in found.items() if data is not None}


def _members(on: Reader) -> tuple[str, ...]:
    if not on.environment.get("server_clustered"):
        return ()
    return tuple(sorted(url.rsplit("/", 1)[1] for url in on.get("cluster/members")))


def read_origin(on: Reader, desired: Desired) -> Origin:
    """What the source brings, or why it cannot. A remote image is the server's to find: it is not looked up here."""
    source = desired.source or Source()
    if source.type == "copy":
        return _origin_of_copy(on, source)
    if source.type == "image" and not source.server:
        return _origin_of_image(on, source)
    return Origin()


def _origin_of_copy(on: Reader, source: Source) -> Origin:
    path = f"instances/{source.instance}"
    if source.snapshot:
        path += f"/snapshots/{source.snapshot}"
    data = on.find(path)
    if data is None:
        return Origin(problem=f"source: there is no {source.text} to copy")
    instance_type = data.get("type") or "container"
    return Origin(owned(data["config"]), data["devices"], tuple(data["profiles"]), instance_type)


def _origin_of_image(on: Reader, source: Source) -> Origin:
    fingerprint = source.fingerprint
    if source.alias:
        alias = on.find(f"images/aliases/{source.alias}")
        if alias is None:
            names = sorted(entry["name"] for entry in on.get("images/aliases", recursion=1))
            known_aliases = ", ".join(names[:10]) or "none"
            return Origin(
                problem=f"source.alias: there is no image {source.alias}; its aliases are {known_aliases} "
                "(an image elsewhere needs source.server)"
            )
        fingerprint = alias["target"]
    image = on.find(f"images/{fingerprint}")
    if image is None:
        return Origin(problem=f"source.fingerprint: there is no image {fingerprint}")
    profiles = image.get("profiles")
    return Origin(
        profiles=None if profiles is None else tuple(profiles),
        type=image["type"],
        fingerprint=image["fingerprint"],
        architecture=image["architecture"],
    )
