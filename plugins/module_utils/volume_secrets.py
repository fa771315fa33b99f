# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What of a connection is secret: never kept, shown or said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SECRET = re.compile(r"passw|passphrase|token|keyring|private|secret(?!_type|_uuid)", re.IGNORECASE)
"""What the name of a key looks like whose value is secret. The uuid is of a secret that libvirt keeps, and is none."""
HIDDEN = "********"


def without_secrets(value: Any) -> Any:
    """A connection, or a part of one, to keep and to show: a CHAP password is not needed to disconnect."""
    if isinstance(value, Mapping):
        return {key: without_secrets(part) for key, part in value.items() if not SECRET.search(str(key))}
    if isinstance(value, (list, tuple)):
        return [without_secrets(part) for part in value]
    return value


def secrets(connection: Any) -> frozenset[str]:
    """The secret values of a connection, as texts."""
    return frozenset(text for text, secret in _leaves(connection, False) if secret)


def plain(connection: Any) -> frozenset[str]:
    """Its other values. Ansible would hide these too, and a LUN 0 hidden hides every 0 of a result."""
    return frozenset(text for text, secret in _leaves(connection, False) if not secret) - secrets(connection)


def hide(text: str, hidden: Iterable[str]) -> str:
    """A text of somebody else without secrets."""
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _leaves(value: Any, secret: bool) -> Iterator[tuple[str, bool]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, secret or bool(SECRET.search(str(key))))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part, secret)
    elif value not in (None, ""):
        yield str(value), secret
