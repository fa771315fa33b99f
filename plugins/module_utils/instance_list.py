# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Instances as ``lxd_instance_info`` returns them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import MissingLibrary, Refused
from .instance_record import HOME, owned, power_of, shown
from .steps import Api

try:
    import jmespath

    MISSING = ""
except ImportError as error:
    MISSING = str(error)


AS_IT_IS = (
    "type",
    "description",
    "architecture",
    "location",
    "profiles",
    "ephemeral",
    "created_at",
    "last_used_at",
    "devices",
    "expanded_devices",
)


def list_instances(on: Api, params: Mapping[str, Any], _check: bool = False) -> dict[str, Any]:
    """A module's result: ``instances``, and with a query its ``result``. Only reads, so check mode is no other."""
    expression = compiled(params["query"]) if params.get("query") else None
    found = sorted(fetch(on, params), key=lambda data: (data.get("project", "default"), data["name"]))
    instances = [described(data, params["addresses"]) for data in found]
    if expression is None:
        return {"changed": False, "instances": instances}
    return {"changed": False, "instances": instances, "result": evaluated(expression, params["query"], instances)}


def fetch(on: Api, params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The instances that the task names, in one request; with addresses each has its ``state``."""
    recursion = 2 if params["addresses"] else 1
    if params.get("name"):
        data = on.find(f"instances/{params['name']}", **({"recursion": 1} if params["addresses"] else {}))
        if data is not None and params["addresses"] and "state" not in data:
            data["state"] = on.get(f"instances/{params['name']}/state")
        return [] if data is None else [data]
    query: dict[str, Any] = {"recursion": recursion}
    if params.get("filter"):
        query["filter"] = params["filter"]
    if params["all_projects"]:
        query["all-projects"] = "true"
    return list(on.get("instances", **query))


def described(data: Mapping[str, Any], with_addresses: bool) -> dict[str, Any]:
    """One instance, from the API's record of it."""
    result = {
        "name": data["name"],
        "project": data.get("project", "default"),
        "state": power_of(data),
        "status": data["status"],
        "image": data["config"].get("volatile.base_image", ""),
        "home": data["config"].get(HOME),
        "hwaddr": hardware_addresses(data),
        "config": {key: shown(key, value) for key, value in owned(data["config"]).items()},
        "expanded_config": {key: shown(key, value) for key, value in owned(data["expanded_config"] or {}).items()},
    }
    result.update({key: data[key] for key in AS_IT_IS})
    if with_addresses:
        result["addresses"] = guest_addresses(data.get("state") or {})
    return result


def hardware_addresses(data: Mapping[str, Any]) -> dict[str, str]:
    """The MAC address of each NIC: declared on the device, else given by the server."""
    nics = {name: device for name, device in (data["expanded_devices"] or {}).items() if device["type"] == "nic"}
    known = {
        name: device.get("hwaddr") or data["config"].get(f"volatile.{name}.hwaddr", "") for name, device in nics.items()
    }
    return {name: address for name, address in known.items() if address}


def guest_addresses(state: Mapping[str, Any]) -> dict[str, list[str]]:
    """The global addresses by interface of the guest."""
    found = {
        name: [entry["address"] for entry in network["addresses"] if entry["scope"] == "global"]
        for name, network in (state.get("network") or {}).items()
        if name != "lo"
    }
    return {name: addresses for name, addresses in found.items() if addresses}


def compiled(expression: str) -> Any:
    """A JMESPath expression, ready to search. Raises Refused with the place of the mistake."""
    if MISSING:
        raise MissingLibrary(f"the Python library jmespath is needed for query, where this module runs: {MISSING}")
    try:
        return jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as error:
        raise Refused(
            f"query: {expression} is no JMESPath expression: {error}", option="query", found=expression
        ) from None


def evaluated(expression: Any, text: str, instances: list[dict[str, Any]]) -> Any:
    """The result of a compiled expression. Raises Refused where a function of it got a value it cannot take."""
    try:
        return expression.search(instances)
    except jmespath.exceptions.JMESPathError as error:
        raise Refused(f"query: {text}: {error}", option="query", found=text) from None
