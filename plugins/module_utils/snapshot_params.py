# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A task's parameters -> a snapshot."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from .compare import canonical_map
from .errors import Refused
from .instance_params import check_name
from .snapshot import Keep, Quiesce, Wanted, expiry_from
from .snapshot_file import Export
from .snapshot_image import ORIGIN, Publish

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,62}$")
WORD = re.compile(r"^[A-Za-z0-9._:-]{1,64}$")
LONGEST = 600
"""Seconds that a guest may be quieted."""
ONLY = {
    **dict.fromkeys(("expires", "quiesce", "keep", "publish", "export"), ("present",)),
    "volumes": ("present", "restored"),
    "restore_id": ("restored",),
    "force": ("restored",),
}
"""The states that an option is for."""


def snapshot_spec() -> dict[str, dict[str, Any]]:
    """The options of a snapshot, as AnsibleModule wants them; documented in modules/lxd_snapshot.py."""
    return {
        "name": {"type": "str", "required": True},
        "snapshot": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent", "restored"], "default": "present"},
        "stateful": {"type": "bool"},
        "volumes": {"type": "bool"},
        "expires": {"type": "str"},
        "quiesce": {
            "type": "dict",
            "options": {
                "freeze": {"type": "bool", "default": True},
                "before": {"type": "str"},
                "after": {"type": "str"},
                "timeout": {"type": "int", "default": 30},
            },
        },
        "keep": {
            "type": "dict",
            "options": {"count": {"type": "int", "required": True}, "pattern": {"type": "str", "required": True}},
        },
        "publish": {
            "type": "dict",
            "options": {
                "alias": {"type": "str"},
                "properties": {"type": "dict"},
                "public": {"type": "bool"},
                "compression": {"type": "str"},
            },
        },
        "export": {
            "type": "dict",
            "options": {
                "file": {"type": "path", "required": True},
                "compression": {"type": "str"},
                "optimized": {"type": "bool", "default": False},
            },
        },
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
        if params.get(option) not in (None, False) and state not in states:
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
        volumes=params.get("volumes"),
        expires=None if expires is None else expiry_from(f"{name}/{snapshot}", expires),
        quiesce=_quiesce(f"{name}/{snapshot}", params.get("quiesce")),
        keep=_keep(name, snapshot, params.get("keep")),
        publish=_publish(f"{name}/{snapshot}", params.get("publish")),
        export=_export(f"{name}/{snapshot}", params.get("export")),
        restore_id=word,
        force=params["force"],
    )


def _quiesce(where: str, found: Mapping[str, Any] | None) -> Quiesce | None:
    if found is None:
        return None
    quiet = Quiesce(found["freeze"], found.get("before") or "", found.get("after") or "", found["timeout"])
    if not quiet.freeze and not quiet.commands:
        raise Refused(
            f"{where}: quiesce: found freeze: false and no command: say before, after, or both", option="quiesce"
        )
    if not 1 <= quiet.timeout <= LONGEST:
        raise Refused(
            f"{where}: quiesce.timeout: found {quiet.timeout}, allowed are 1 to {LONGEST} seconds",
            option="quiesce.timeout",
            found=quiet.timeout,
        )
    return quiet


def _keep(name: str, snapshot: str, found: Mapping[str, Any] | None) -> Keep | None:
    if found is None:
        return None
    if found["count"] < 1:
        raise Refused(f"{name}/{snapshot}: keep.count: found {found['count']}, allowed are 1 and more", option="keep")
    if not fnmatchcase(snapshot, found["pattern"]):
        raise Refused(
            f"{name}/{snapshot}: keep.pattern: found {found['pattern']}, which the snapshot's own name does not match",
            option="keep.pattern",
            found=found["pattern"],
        )
    return Keep(found["count"], found["pattern"])


def _publish(where: str, found: Mapping[str, Any] | None) -> Publish | None:
    if found is None:
        return None
    properties = canonical_map("publish.properties", found.get("properties"))
    if ORIGIN in properties:
        raise Refused(f"{where}: publish.properties: {ORIGIN} is what this module knows the image by", option="publish")
    return Publish(found.get("alias") or "", properties, found.get("public"), found.get("compression") or "")


def _export(where: str, found: Mapping[str, Any] | None) -> Export | None:
    if found is None:
        return None
    if not os.path.isabs(found["file"]):
        raise Refused(
            f"{where}: export.file: found {found['file']}, allowed is an absolute path",
            option="export.file",
            found=found["file"],
        )
    return Export(found["file"], found.get("compression") or "", found["optimized"])
