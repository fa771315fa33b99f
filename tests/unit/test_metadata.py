# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that describe the collection agree with what is in it."""

from __future__ import annotations

from pathlib import Path

import yaml

COLLECTION = Path(__file__).parents[2]


def read(path: str) -> dict[str, object]:
    content = yaml.safe_load((COLLECTION / path).read_text())
    assert isinstance(content, dict)
    return content


def test_every_module_takes_the_connection_defaults_of_the_action_group() -> None:
    modules = {path.stem for path in (COLLECTION / "plugins/modules").glob("[!_]*.py")}
    groups = read("meta/runtime.yml")["action_groups"]
    assert isinstance(groups, dict)
    assert modules <= set(groups["lxd"])


def test_the_changelog_does_not_know_a_version_that_galaxy_yml_has_not_reached() -> None:
    releases = read("changelogs/changelog.yaml")["releases"]
    assert isinstance(releases, dict)
    assert not releases or list(releases)[-1] == read("galaxy.yml")["version"]


def test_the_tests_run_on_the_oldest_ansible_core_that_the_collection_admits() -> None:
    oldest = str(read("meta/runtime.yml")["requires_ansible"]).removeprefix(">=").removesuffix(".0")
    tested = sorted(path.stem for path in (COLLECTION / "tests/requirements").glob("core-*.txt"))
    assert tested[0] == f"core-{oldest}"
