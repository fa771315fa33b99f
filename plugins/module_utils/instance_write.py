# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Writes to an instance that exists, of which none is lost where two write at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .config_keys import is_servers
from .errors import Conflict, NotFound
from .steps import ATTEMPTS, Api


def writable(data: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an instance that a PUT replaces."""
    return {key: data[key] for key in ("architecture", "config", "description", "devices", "ephemeral", "profiles")}


def replace_instance(
    on: Api, name: str, body: Mapping[str, Any], etag: str, before: Mapping[str, Any] | None = None
) -> None:
    """PUT an instance, and see that it stays so. The server compares the ETag when a request comes, and writes later,
    in its operation (lxd/instance_put.go): of two requests at once both may pass, and one undo the other. Raises
    Conflict then. ``before``: what the caller read; then only what it changes is looked at.
    """
    on.put(f"instances/{name}", body, etag)
    # Another that passed has its operation by now.
    on.settle(f"instances/{name}", "updating")
    found = on.find(f"instances/{name}")
    if found is None:
        return
    was, wanted, now = _parts(before or {}), _parts(body), _parts(found)
    mine = {part for part in {*was, *wanted, *now} if before is None or was.get(part) != wanted.get(part)}
    lost = sorted(part for part in mine if now.get(part) != wanted.get(part))
    if lost:
        raise Conflict(f"{name} on {on.name}: {', '.join(lost)}: another change at the same time was written over this")


def insist(write: Callable[[], None]) -> None:
    """Write, and again where somebody else was faster: the server changes its own keys of an instance on its own time
    after a start or a stop. ``write`` reads anew each time."""
    for _attempt in range(1, ATTEMPTS):
        try:
            write()
        except Conflict:
            continue
        return
    write()


def rewrite(on: Api, name: str, config: Callable[[dict[str, str]], dict[str, str]], **changed: Any) -> None:
    """Change an instance, guarded by its ETag. ``config``: what its config becomes; ``changed``: other keys of it.

    Not by PATCH, with which LXD 5.0 also empties the description.
    """
    found = on.find_tagged(f"instances/{name}")
    if found is None:
        raise NotFound(f"{name} is no longer on {on.name}")
    data, etag = found
    replace_instance(on, name, {**writable(data), "config": config(data["config"]), **changed}, etag, data)


def _parts(data: Mapping[str, Any]) -> dict[str, Any]:
    """What of an instance is not the server's own, each part by itself."""
    return {
        **{f"config.{key}": value for key, value in data.get("config", {}).items() if not is_servers(key)},
        **{f"devices.{name}": device for name, device in data.get("devices", {}).items()},
        **{key: data[key] for key in ("description", "ephemeral", "profiles") if key in data},
    }
