# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A task's parameters -> a rebuild."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import Refused
from .instance_params import check_name, desired_from, instance_spec
from .rebuild import Rebuild, beside

WORD = re.compile(r"^[A-Za-z0-9._:-]{1,64}$")


def rebuild_spec() -> dict[str, dict[str, Any]]:
    """The options of a rebuild, as AnsibleModule wants them; documented in modules/lxd_rebuild.py."""
    instance = instance_spec()
    source = {key: one for key, one in instance["source"]["options"].items() if key not in ("file", "sha256")}
    source["type"] = {**source["type"], "choices": ["image", "copy", "none"]}
    return {
        "name": instance["name"],
        "source": {"type": "dict", "options": source, "required": True},
        "config": instance["config"],
        "rebuild_id": {"type": "str"},
        "snapshots": {"type": "str", "choices": ["refuse", "delete", "keep"], "default": "refuse"},
        "keep_as": {"type": "str"},
        "method": {"type": "str", "choices": ["auto", "server", "swap"], "default": "auto"},
        "force": instance["force"],
        "stop_timeout": instance["stop_timeout"],
    }


def rebuild_from(params: Mapping[str, Any]) -> Rebuild:
    """A Rebuild from a task's validated parameters. Raises Refused."""
    plain = {"state": "present", "purge_config": False, "purge_devices": False, "apply": "next_start"}
    desired = desired_from({**params, **plain})
    name, keep = desired.name, params["snapshots"] == "keep"
    if desired.source is None or desired.source.type != "image":
        raise Refused(f"{name}: source.type: found {params['source']['type']}, allowed is image", option="source.type")
    aside = params["keep_as"] or f"{name}-before-rebuild"
    if keep:
        check_name("keep_as", aside)
    elif params["keep_as"]:
        raise Refused(f"{name}: keep_as goes with snapshots: keep only", option="keep_as")
    if keep and params["method"] == "server":
        raise Refused(
            f"{name}: method: server leaves nothing of the old root, so snapshots: keep needs method: auto or swap",
            option="method",
        )
    if aside == name:
        raise Refused(f"{name}: keep_as: found the instance's own name", option="keep_as")
    word = params["rebuild_id"] or ""
    if word and not WORD.match(word):
        raise Refused(
            f"{name}: rebuild_id: found {word!r}, allowed are 1 to 64 letters, digits, dots, colons, hyphens and "
            "underscores",
            option="rebuild_id",
        )
    return Rebuild(desired, params["snapshots"], aside if keep else beside(name, "replaced"), word, params["method"])
