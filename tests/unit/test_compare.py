# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that mean the same are the same."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.compare import canonical, merged, quantity, same
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Refused


@pytest.mark.parametrize(
    ("given", "kept"),
    [(2, "2"), (True, "true"), (False, "false"), ("2", "2"), (1.5, "1.5"), (None, None), ("", "")],
)
def test_a_value_becomes_the_string_that_the_server_keeps(given: Any, kept: str | None) -> None:
    assert canonical("config.x", given) == kept


@pytest.mark.parametrize("given", [["a"], {"a": 1}])
def test_a_list_or_dictionary_is_refused_by_its_option(given: Any) -> None:
    with pytest.raises(Refused, match=r"config\.limits\.cpu: found a (list|dict), allowed are"):
        canonical("config.limits.cpu", given)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1GiB", 1073741824),
        ("1073741824", 1073741824),
        ("1024MiB", 1073741824),
        ("1GB", 10**9),
        ("10Mbit", 10**7),
        ("1.5KiB", 1536),
        ("500iops", None),
        ("50%", None),
        ("0-3", None),
        ("", None),
    ],
)
def test_a_quantity_is_a_number_with_a_known_unit(text: str, number: float | None) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize(
    ("kind", "left", "right", "equal"),
    [
        ("size", "1GiB", "1073741824", True),
        ("size", "1GiB", "1GB", False),
        ("size", "100iops", "100iops", True),
        ("size", None, "0", False),
        ("bool", "true", "1", True),
        ("bool", "True", "on", True),
        ("bool", "false", "no", True),
        ("bool", "true", "false", False),
        ("bool", None, "false", False),
        ("text", "1GiB", "1073741824", False),
        ("text", "true", "1", False),
    ],
)
def test_values_are_compared_by_meaning(kind: str, left: str | None, right: str | None, equal: bool) -> None:
    assert same(kind, left, right) is equal
    assert same(kind, right, left) is equal


def test_what_is_laid_over_keeps_the_rest_removes_nulls_and_respects_how_an_equal_value_is_written() -> None:
    current = {"limits.memory": "1GiB", "user.a": "1", "user.b": "2"}
    wanted = {"limits.memory": "1073741824", "user.a": None, "user.c": "3"}
    assert merged(current, wanted, {"limits.memory": "size"}) == {"limits.memory": "1GiB", "user.b": "2", "user.c": "3"}
