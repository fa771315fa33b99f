# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that describe the collection agree with what is in it."""

from __future__ import annotations

import ast
from pathlib import Path

import yaml
from stages.fleet_docs import fragment

COLLECTION = Path(__file__).parents[2]
MODULES = {path.stem for path in (COLLECTION / "plugins/modules").glob("[!_]*.py")}


ON_THE_HOST = {"lxd_volume_attachment", "lxd_volume_attachment_info"}
"""The modules that make block devices, or look at them: there is no other place for these."""


def read(path: str) -> dict[str, object]:
    content = yaml.safe_load((COLLECTION / path).read_text())
    assert isinstance(content, dict)
    return content


def test_every_module_takes_the_connection_defaults_of_the_action_group() -> None:
    groups = read("meta/runtime.yml")["action_groups"]
    assert isinstance(groups, dict)
    assert set(groups["lxd"]) == MODULES


def test_every_module_that_can_runs_in_the_controllers_process_too() -> None:
    assert {path.stem for path in (COLLECTION / "plugins/action").glob("*.py")} == MODULES - ON_THE_HOST
    for name in MODULES - ON_THE_HOST:
        source = (COLLECTION / f"plugins/action/{name}.py").read_text()
        assert f"run(self, {name}, task_vars" in source


def test_the_changelog_does_not_know_a_version_that_galaxy_yml_has_not_reached() -> None:
    releases = read("changelogs/changelog.yaml")["releases"]
    assert isinstance(releases, dict)
    assert not releases or list(releases)[-1] == read("galaxy.yml")["version"]


def test_the_tests_run_on_the_oldest_ansible_core_that_the_collection_admits() -> None:
    oldest = str(read("meta/runtime.yml")["requires_ansible"]).removeprefix(">=").removesuffix(".0")
    tested = sorted(path.stem for path in (COLLECTION / "tests/requirements").glob("core-*.txt"))
    assert tested[0] == f"core-{oldest}"


def test_a_fleet_documents_what_an_instance_documents() -> None:
    written = (COLLECTION / "plugins/doc_fragments/fleet.py").read_text()
    assert written == fragment((COLLECTION / "plugins/modules/lxd_instance.py").read_text()), (
        "run tests/stages/fleet_docs.py"
    )


def test_the_boot_program_has_all_that_it_imports() -> None:
    content = read("roles/host_storage/vars/main.yml")
    utils = COLLECTION / "plugins/module_utils"
    needed, found = {"brick", "errors", "volume_boot", "volume_layers", "volume_record"}, set[str]()
    while needed - found:
        name = (needed - found).pop()
        found.add(name)
        needed |= {
            node.module
            for node in ast.walk(ast.parse((utils / f"{name}.py").read_text()))
            if isinstance(node, ast.ImportFrom) and node.level and node.module
        }
    assert content["host_storage_files"] == sorted(found)
