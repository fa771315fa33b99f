#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many instances of one server in one task."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_instances
short_description: A fleet of instances on LXD and Incus, declared in one task
description:
  - Brings many instances of one server to the states that O(instances) declares, as M(lxdops.compute.lxd_instance)
    does it for one, at the cost of one listing for all that need nothing.
  - Several instances are worked on at once, see O(concurrency). One that fails does not stop the others, unless
    O(fail_fast) says so; the task fails at its end, and names each one that did in RV(failed_items). Where the server
    itself does not answer any more, none is begun.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
  - lxdops.compute.attributes.changes
  - lxdops.compute.fleet
options:
  fleet:
    description:
      - Name of the fleet that the instances belong to.
      - It is kept at each one, as C(user.lxdops.fleet), which its guest can read.
    type: str
  absent_unlisted:
    description: Remove the instances that belong to the O(fleet) and are not in O(instances). Others are never touched.
    type: bool
    default: false
  concurrency:
    description: How many instances are worked on at once.
    type: dict
    suboptions:
      start:
        description: Of those that are created, started or changed. It takes the server's processors, so about twice
          their number is the best.
        type: int
        default: 4
      stop:
        description: Of those that are stopped or removed. It mostly takes time.
        type: int
        default: 16
  fail_fast:
    description: After a failure, begin with no other instance.
    type: bool
    default: false
seealso:
  - module: lxdops.compute.lxd_instance
"""

EXAMPLES = r"""
- name: Three web servers and a database, and no others of this fleet
  lxdops.compute.lxd_instances:
    fleet: shop
    absent_unlisted: true
    defaults:
      source:
        alias: debian/12
      config:
        limits.memory: 256MiB
    instances:
      - name: shop1
      - name: shop2
      - name: shop3
        config:
          limits.cpu: 2
      - name: shop-db
        config:
          limits.memory: 1GiB

- name: All of them stopped
  lxdops.compute.lxd_instances:
    defaults:
      state: stopped
    instances:
      - name: shop1
      - name: shop2
      - name: shop3
      - name: shop-db

- name: The fleet is gone
  lxdops.compute.lxd_instances:
    fleet: shop
    absent_unlisted: true
    instances: []
"""

RETURN = r"""
instances:
  description: What came of each instance that did not fail, in the order of O(instances), then those that were removed
    as unlisted.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: always
      sample: shop1
    changed:
      description: Whether it was, or in check mode would be, changed.
      type: bool
      returned: always
      sample: true
    steps:
      description: As of M(lxdops.compute.lxd_instance).
      type: list
      elements: str
      returned: when it was changed
      sample: [create container shop1 from image debian/12, start shop1]
    instance:
      description: As of M(lxdops.compute.lxd_instance). One that is unchanged is as declared, and
        M(lxdops.compute.lxd_instance_info) tells the rest; in a large fleet Ansible would take longer to hand that on
        than all else takes.
      type: dict
      returned: when it was changed
      sample: {name: shop1, state: running}
    impact:
      description: As of M(lxdops.compute.lxd_instance).
      type: dict
      returned: when it was changed
      sample: {}
    pending:
      description: As of M(lxdops.compute.lxd_instance).
      type: list
      elements: str
      returned: always
      sample: []
    volumes:
      description: As of M(lxdops.compute.lxd_instance).
      type: list
      elements: str
      returned: with O(instances[].state=absent)
      sample: []
failed_items:
  description: The instances that failed, with RV(failed_items[].name), RV(failed_items[].msg) and what else
    M(lxdops.compute.lxd_instance) returns for a failure.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: always
      sample: shop2
    msg:
      description: Why.
      type: str
      returned: always
      sample: shop2 on lxd1 - source.alias - there is no image debian/13
  sample: []
steps:
  description: The steps of all instances together.
  returned: always
  type: list
  elements: str
  sample: [create container shop1 from image debian/12, start shop1]
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ansible_collections.lxdops.compute.plugins.module_utils.fleet import Fleet, check_names, converge_fleet, listed
from ansible_collections.lxdops.compute.plugins.module_utils.fleet_params import fleet_spec, given, item_params
from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Desired
from ansible_collections.lxdops.compute.plugins.module_utils.instance_params import desired_from
from ansible_collections.lxdops.compute.plugins.module_utils.steps import Api


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    return {
        "argument_spec": {**connection_spec(), **fleet_spec()},
        "required_if": [("absent_unlisted", True, ["fleet"])],
    }


def desired(item: Mapping[str, Any], defaults: Mapping[str, Any], params: Mapping[str, Any]) -> Desired:
    """What one instance shall be. Raises Refused."""
    own = item_params(item, defaults)
    return desired_from({**own, "wait_timeout": params["wait_timeout"], "fleet": params["fleet"]})


sparse = ("instances",)
"""The options whose items need not have a key for each option that is not given."""
ahead = listed
"""What the server can be asked for while the task's other arguments are still read."""


def work(
    on: Api,
    params: Mapping[str, Any],
    check: bool,
    tell: Callable[[str], None] = lambda _line: None,
    asked: Callable[[], Any] | None = None,
) -> dict[str, Any]:
    """The module's result. ``asked`` has what was asked ``ahead``."""
    items, defaults = params["instances"], given(params["defaults"])
    check_names([item["name"] for item in items])
    fleet = Fleet(
        {item["name"]: partial(desired, item, defaults, params) for item in items},
        params["fleet"] or "",
        params["absent_unlisted"],
        desired({"name": "unlisted", "state": "absent"}, defaults, params),
        params["concurrency"],
        params["fail_fast"],
    )
    return converge_fleet(on, fleet, check, tell, asked or partial(listed, on))


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
