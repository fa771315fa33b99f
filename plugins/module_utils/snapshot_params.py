# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A task's parameters -> a snapshot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import Refused
from .instance_params import check_name
from .snapshot import Wanted, expiry_from

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,62}$")
WORD = re.compile(r"^[A-Za-z0-9._:-]{1,64}$")
ONLY = {"expires": ("present",), "restore_id": ("restored",), "force": ("restored",)}
"""The states that an option is for."""


def snapshot_spec() -> dict[str, dict[str, Any]]:
    """The options of a snapshot, as AnsibleModule wants them; documented in modules/lxd_snapshot.py."""
    return {
        "name": {"type": "str", "required": True},
        "snapshot": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent", "restored"], "default": "present"},
        "stateful": {"type": "bool"},
        "expires": {"type": "str"},
        "restore_id": {"type": "str"},
        "force": {"type": "bool", "default": False},
    }


def wanted_from(params: Mapping[str, Any]) -> Wanted:
    """A Wanted from a task's validated parameters. Refuses what is wrong in itself, whatever the server says."""
    name, snapshot, state = params["name"], params["snapshot"], params["state"]
    check_name("name", name)
    if not NAME.match(snapshot):
        raise Refused(
            f"{name}: snapshot: found {snapshot!r}, allowed are 1 to 63 letters, digits, dots, colons, hyphens and "
            "underscores, starting with a letter or digit",
            option="snapshot",
            found=snapshot,
        )
    for option, states in ONLY.items():
        if params.get(option) and state not in states:
            raise Refused(
                f"{name}/{snapshot}: {option} is for state: {' or '.join(states)}, found state: {state}",
                option=option,
                allowed=list(states),
            )
    word = params.get("restore_id") or ""
    if word and not WORD.match(word):
        raise Refused(
            f"{name}/{snapshot}: restore_id: found {word!r}, allowed are 1 to 64 letters, digits, dots, colons, "
            "hyphens and underscores",
            option="restore_id",
            found=word,
        )
    expires = params.get("expires")
    return Wanted(
        instance=name,
        snapshot=snapshot,
        state=state,
        stateful=params.get("stateful"),
        expires=None if expires is None else expiry_from(f"{name}/{snapshot}", expires),
        restore_id=word,
        force=params["force"],
    )
