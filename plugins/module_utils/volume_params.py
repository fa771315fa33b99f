# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A task's parameters -> a volume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from .compare import canonical_map, quantity
from .errors import Refused
from .filesystem import EXT
from .instance_params import check_name
from .luks import KINDS, OURS
from .volume import MODES, Volume
from .volume_cinder import BETWEEN_HOSTS
from .volume_limits import check_words
from .volume_record import DIRECTORY
from .volume_secrets import plain

ONLY_FILESYSTEM = ("fstype", "format", "shift")


def volume_spec() -> dict[str, dict[str, Any]]:
    """The options of a volume, as AnsibleModule wants them; documented in modules/lxd_volume_attachment.py."""
    return {
        "instance": {"type": "str"},
        "volume": {"type": "str"},
        "state": {
            "type": "str",
            "choices": ["attached", "detached", "connected", "disconnected", "reconciled"],
            "default": "attached",
        },
        "connection": {"type": "dict", "no_log": True},
        "cinder": {"type": "str"},
        "use_multipath": {"type": "bool", "default": False},
        "encryption": {"type": "dict", "options": encryption_spec()},
        "mode": {"type": "str", "choices": list(MODES), "default": "block"},
        "path": {"type": "str"},
        "fstype": {"type": "str"},
        "format": {"type": "bool", "default": False},
        "shift": {"type": "bool", "default": False},
        "readonly": {"type": "bool", "default": False},
        "size": {"type": "str"},
        "shared": {"type": "bool", "default": False},
        "tag": {"type": "str"},
        "limits": {"type": "dict"},
        "boot_priority": {"type": "int"},
        "replaces": {"type": "str"},
        "swap_pause": {"type": "int", "default": 60},
        "force": {"type": "bool", "default": False},
        "records": {"type": "path", "default": DIRECTORY},
    }


def encryption_spec() -> dict[str, dict[str, Any]]:
    """Of encryption."""
    return {
        "type": {"type": "str", "choices": list(KINDS), "default": "luks2"},
        "passphrase": {"type": "str", "no_log": True},
        "key_file": {"type": "path", "no_log": False},
        "cipher": {"type": "str"},
        "key_size": {"type": "int", "no_log": False},
        "format": {"type": "bool", "default": False},
    }


def public(params: Mapping[str, Any]) -> frozenset[str]:
    """What of the secret options is none, and may be shown."""
    return plain(params.get("connection") or {})


def check_execution(params: Mapping[str, Any]) -> None:
    """Refuses to work elsewhere than on the host."""
    if params["execution"] == "controller":
        raise Refused(
            "execution: found controller; this always works on the host itself, allowed are auto and host",
            option="execution",
        )


def volume_from(params: Mapping[str, Any]) -> Volume:
    """A Volume from a task's validated parameters. Refuses what is wrong in itself, whatever the host says."""
    name, volume = params["instance"], params["volume"]
    check_name("instance", name)
    where = f"{name}: {volume}"
    if not volume or len(volume) > 255 or not volume.isprintable():
        raise Refused(f"{name}: volume: found {volume!r}, allowed is the storage's id of it", option="volume")
    connection = {}
    if params["state"] == "attached":
        _check(where, params)
    if params["state"] in ("attached", "connected"):
        connection = _connection(where, params)
        encryption = _encryption(where, params, connection)
        if encryption:
            connection["encryption"] = {**encryption, "mapping": f"{OURS}{Volume(name, volume).device}"}
    return Volume(
        instance=name,
        id=volume,
        state=params["state"],
        connection=connection,
        mode=params["mode"],
        path=params.get("path") or "",
        fstype=params.get("fstype") or "",
        format=params["format"],
        shift=params["shift"],
        readonly=params["readonly"],
        size=_size(where, params.get("size")),
        shared=params["shared"],
        tag=params.get("tag") or "",
        force=params["force"],
        replaces=params.get("replaces") or "",
        swap_pause=params["swap_pause"],
        limits=_limits(where, params),
        boot_priority=params.get("boot_priority"),
        cinder=params.get("cinder") or "",
    )


def _check(where: str, params: Mapping[str, Any]) -> None:
    path, fstype = params.get("path") or "", params.get("fstype") or ""
    if params.get("replaces"):
        _check_replaces(where, params)
    if params["mode"] == "filesystem" and not path:
        raise Refused(f"{where}: mode: filesystem needs path, the directory it is mounted on", option="path")
    if path and (not path.startswith("/") or not PurePosixPath(path).parts[1:] or ".." in path.split("/")):
        raise Refused(f"{where}: path: found {path}, allowed is an absolute path other than /", option="path")
    if (params.get("boot_priority") or 0) < 0:
        raise Refused(
            f"{where}: boot_priority: found {params['boot_priority']}, allowed are 0 and more", option="boot_priority"
        )
    if params["mode"] == "block":
        given = [option for option in ONLY_FILESYSTEM if params.get(option)]
        if given:
            raise Refused(f"{where}: {given[0]} is for mode: filesystem, found mode: block", option=given[0])
    if params["format"] and fstype not in EXT:
        raise Refused(
            f"{where}: format: found fstype {fstype or '(none)'}, allowed are {', '.join(EXT)}; make another one "
            "yourself",
            option="fstype",
            found=fstype,
            allowed=EXT,
        )


def _check_replaces(where: str, params: Mapping[str, Any]) -> None:
    if params["replaces"] == params["volume"]:
        raise Refused(f"{where}: replaces: found itself, allowed is another volume", option="replaces")
    if params["format"]:
        raise Refused(f"{where}: format: what is on {params['replaces']} is copied, and not made anew", option="format")
    if params["swap_pause"] < 1:
        raise Refused(
            f"{where}: swap_pause: found {params['swap_pause']}, allowed are 1 and more seconds", option="swap_pause"
        )


def _connection(where: str, params: Mapping[str, Any]) -> dict[str, Any]:
    found = params.get("connection") or {}
    if params.get("cinder"):
        if params["state"] == "connected":
            raise Refused(
                f"{where}: cinder: found {params['cinder']}, which state: connected does not take: Cinder exports a "
                f"volume to one host at a time. {BETWEEN_HOSTS}",
                option="cinder",
                found=params["cinder"],
            )
        if found:
            raise Refused(f"{where}: connection: Cinder says it, where cinder is given", option="connection")
        # What Cinder says is not known yet.
        return {"driver_volume_type": "", "data": {}, "use_multipath": params["use_multipath"]}
    if not isinstance(found.get("driver_volume_type"), str) or not isinstance(found.get("data"), Mapping):
        raise Refused(
            f"{where}: connection: found {', '.join(sorted(map(str, found))) or 'nothing'}, needed are "
            "driver_volume_type and data, as Cinder's initialize_connection returns them",
            option="connection",
        )
    return {
        "driver_volume_type": found["driver_volume_type"].lower(),
        "data": dict(found["data"]),
        "use_multipath": params["use_multipath"],
    }


def _encryption(where: str, params: Mapping[str, Any], connection: Mapping[str, Any]) -> dict[str, Any]:
    """As a connection has it, besides what Cinder says."""
    found = {key: value for key, value in (params.get("encryption") or {}).items() if value not in (None, "")}
    if not found:
        if connection["data"].get("encrypted"):
            raise Refused(
                f"{where}: connection.data.encrypted: found true, needed is encryption, with a passphrase or key file",
                option="encryption",
            )
        return {}
    if ("passphrase" in found) == ("key_file" in found):
        raise Refused(
            f"{where}: encryption: found {'both' if 'passphrase' in found else 'neither'}, needed is one of passphrase "
            "and key_file",
            option="encryption",
        )
    return found


def _limits(where: str, params: Mapping[str, Any]) -> dict[str, str | None]:
    given = canonical_map("limits", params.get("limits"))
    limits = {f"limits.{key}": value or None for key, value in given.items()}
    check_words(where, limits)
    return limits


def _size(where: str, value: str | None) -> int:
    if not value:
        return 0
    found = quantity(value)
    if found is None or found < 1 or "bit" in value.lower():
        raise Refused(f"{where}: size: found {value}, allowed is a number of bytes, like 10GiB", option="size")
    return int(found)
