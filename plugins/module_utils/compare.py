# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Canonical values: LXD keeps every config and device value as a string, people write numbers, booleans and units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import Refused

# doc/reference/instance_units.md: bytes and bits per second, decimal and binary.
UNITS = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15, "eb": 10**18,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50, "eib": 2**60,
    "bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9, "tbit": 10**12, "pbit": 10**15, "ebit": 10**18,
    "kibit": 2**10, "mibit": 2**20, "gibit": 2**30, "tibit": 2**40, "pibit": 2**50, "eibit": 2**60,
}  # fmt: skip
QUANTITY = re.compile(r"^(\d+(?:\.\d+)?) ?([a-z]*)$")
TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off", ""})


def canonical(option: str, value: Any) -> str | None:
    """The string that LXD keeps for a value given in YAML, or None for null. Refuses lists and dictionaries."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise Refused(
        f"{option}: found a {type(value).__name__}, allowed are a string, a number, true, false or null",
        option=option,
        found=type(value).__name__,
    )


def canonical_map(option: str, values: Mapping[str, Any] | None) -> dict[str, str | None]:
    """`canonical` over a dictionary of values."""
    return {str(key): canonical(f"{option}.{key}", value) for key, value in (values or {}).items()}


def quantity(value: str) -> float | None:
    """The number of bytes (or bits) that ``10GiB`` or ``1000`` stands for, or None when it is no quantity."""
    match = QUANTITY.match(value.strip().lower())
    if not match or match[2] not in UNITS:
        return None
    return float(match[1]) * UNITS[match[2]]


def same(kind: str, left: str | None, right: str | None) -> bool:
    """Whether two values mean the same to the server, for a key of a kind: ``bool``, ``size`` or ``text`` (exact)."""
    if left == right:
        return True
    if kind == "bool":
        low, high = (left or "").lower(), (right or "").lower()
        if left is None or right is None:
            return False
        return (low in TRUE and high in TRUE) or (low in FALSE and high in FALSE)
    if kind == "size" and left and right:
        first, second = quantity(left), quantity(right)
        return first is not None and first == second
    return False


def merged(current: Mapping[str, str], wanted: Mapping[str, str | None], kinds: Mapping[str, str]) -> dict[str, str]:
    """``current`` with what is wanted laid over it: null removes, and a value that means the same stays as it is.

    ``kinds`` says the kind of a key where it is not ``text``.
    """
    result = dict(current)
    for key, value in wanted.items():
        if value is None:
            result.pop(key, None)
        elif key not in result or not same(kinds.get(key, "text"), result[key], value):
            result[key] = value
    return result


def changed_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The keys whose values differ, sorted."""
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
