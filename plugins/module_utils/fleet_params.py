# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A task's parameters -> the parameters of each instance of a fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import Refused
from .instance_params import instance_spec

Spec = Mapping[str, Mapping[str, Any]]
INSTANCE: Spec = instance_spec()


def fleet_spec() -> dict[str, dict[str, Any]]:
    """The options of a fleet. Those of an instance have no defaults here: `defaults` of the task come before them."""
    options = _without_defaults(INSTANCE)
    named = {**options, "name": {"type": "str", "required": True}}
    del options["name"]
    bounds = {"start": {"type": "int", "default": 4}, "stop": {"type": "int", "default": 16}}
    return {
        "instances": {"type": "list", "elements": "dict", "required": True, "options": named},
        "defaults": {"type": "dict", "options": options},
        "fleet": {"type": "str"},
        "absent_unlisted": {"type": "bool", "default": False},
        "concurrency": {"type": "dict", "apply_defaults": True, "options": bounds},
        "fail_fast": {"type": "bool", "default": False},
    }


def item_params(item: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options that an instance has by itself, by the ``defaults`` that were given, and by those of lxd_instance;
    dictionaries are merged, the item's keys win. Raises Refused."""
    return _filled(_over(defaults, given(item)), INSTANCE, item["name"])


def given(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options of an instance that were given."""
    return _named(params or {}, INSTANCE)


def _without_defaults(spec: Spec) -> dict[str, dict[str, Any]]:
    result = {}
    for name, option in spec.items():
        bare = {key: value for key, value in option.items() if key not in ("default", "required")}
        result[name] = {**bare, "options": _without_defaults(bare["options"])} if "options" in bare else bare
    return result


def _named(params: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
    """Without the options that were not given: Ansible sets them to None. A None deeper inside is one that removes."""
    return {
        name: _named(value, spec[name]["options"]) if "options" in spec[name] else value
        for name, value in params.items()
        if value is not None
    }


def _filled(params: Mapping[str, Any], spec: Spec, where: str) -> dict[str, Any]:
    """With the defaults of the options that were not given, as AnsibleModule does it: values and types it has checked
    already, but not what is required only once all is merged."""
    result = {}
    for name, option in spec.items():
        value = params.get(name, option.get("default"))
        if value is None and option.get("required"):
            raise Refused(f"{where}: {name} is required", option=name)
        nested = value is not None and "options" in option
        result[name] = _filled(value, option["options"], f"{where}: {name}") if nested else value
    return result


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = {
        key: _over(below[key], value) if isinstance(value, Mapping) and isinstance(below.get(key), Mapping) else value
        for key, value in above.items()
    }
    return {**below, **merged}
