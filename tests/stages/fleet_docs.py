# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write plugins/doc_fragments/fleet.py: what lxd_instance documents of an instance, as options of one in a fleet.

The documentation of Ansible must stand in the file as it is, so that it cannot refer to another module's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

PLUGINS = Path(__file__).parents[2] / "plugins"
FRAGMENT = PLUGINS / "doc_fragments/fleet.py"
OWN = re.compile(r"\b(O|RV)\((?=[a-z_.\[\]]+[)=])")
"""A link to an option or return value of the same module."""
FILE = '''\
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by `python3 tests/stages/fleet_docs.py` from the documentation of lxd_instance.
"""Documentation of the options of an instance in a fleet."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of the instances of a fleet."""

    DOCUMENTATION = r"""
{documentation}"""
'''
INSTANCES = [
    "The instances.",
    "What an item does not say, O(defaults) say, and then M(lxdops.compute.lxd_instance).",
]
DEFAULTS = [
    "Options for all instances.",
    "Dictionaries are merged with those of an item, whose keys win; anything else the item replaces.",
]


def without_defaults(options: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Options that say nothing by themselves: a default of the fleet comes before the module's."""
    result = {}
    for name, option in options.items():
        bare = {key: value for key, value in option.items() if key not in ("default", "required")}
        result[name] = {**bare, "suboptions": without_defaults(bare["suboptions"])} if "suboptions" in bare else bare
    return result


def fragment(module: str) -> str:
    """The file, from the source of lxd_instance."""
    documentation = module.split('DOCUMENTATION = r"""')[1].split('"""')[0]
    linked = OWN.sub(r"\1(lxdops.compute.lxd_instance#module:", documentation)
    options = without_defaults(yaml.safe_load(linked)["options"])
    name = {"name": {**options.pop("name"), "required": True}}
    fleet = {
        "options": {
            "instances": {
                "description": INSTANCES,
                "type": "list",
                "elements": "dict",
                "required": True,
                "suboptions": {**name, **options},
            },
            # the same objects once more: an alias in the text
            "defaults": {"description": DEFAULTS, "type": "dict", "suboptions": options},
        }
    }
    return FILE.format(documentation=yaml.safe_dump(fleet, sort_keys=False, width=70, allow_unicode=True))


if __name__ == "__main__":
    source = (PLUGINS / "modules/lxd_instance.py").read_text()
    FRAGMENT.write_text(fragment(source))
