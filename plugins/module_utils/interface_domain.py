# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A network interface, for the mechanism."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from .converge import Domain, converge
from .instance import Current, Desired
from .instance_read import read, read_profiles, with_places
from .interface import MASK, Interface, name_of, view
from .interface_params import interface_from
from .interface_plan import edited, names, plan, report
from .steps import Api


def read_interface(on: Api, wanted: Interface) -> Current:
    """The instance, with what a plan for one of its NICs needs of the server: one GET when nothing is to be done."""
    current = read(on, Desired(wanted.instance, "present"))
    if not current.exists or current.unfinished:
        return current
    local = current.devices.get(name_of(wanted, current), {})
    # What a profile gives cannot be seen behind a local device.
    if local and (wanted.state == "detached" or local == MASK):
        profiles = read_profiles(on, current.profiles)
        current = replace(current, server=replace(current.server, profiles=profiles))
    _name, after = edited(wanted, current)
    if after.devices == current.devices:
        return current
    return replace(current, server=replace(with_places(on, current.server), extensions=on.extensions))


def converge_interface(on: Api, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Attach or detach a network interface; a module's result."""
    wanted = interface_from(params)
    domain: Domain[Api, Interface, Current] = Domain(
        kind="interface",
        settle=lambda on, wanted: on.settle(wanted.path),
        read=read_interface,
        plan=plan,
        view=partial(view, wanted),
        report=report,
        confirm=lambda _on, _wanted, current: current,
    )
    result = converge(domain, on, wanted, check)
    if not result["changed"]:
        return result
    # The server makes the addresses that nobody declared, so a prediction has none.
    current = read(on, Desired(wanted.instance, "present"))
    return {**result, **names(current, result["interface"]["device"] or "")}
