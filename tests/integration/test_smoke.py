# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of an instance, in the fewest tests: what also runs on the other versions of ansible-core."""

import pytest
from integration.case import Lane, prove
from integration.lab_host import LabHost

pytestmark = [pytest.mark.smoke, pytest.mark.thorough]  # on the main version, other tests show all of it

NAME = "life"
TINY = {"alias": "tiny"}


def test_the_life_of_an_instance(lxd: LabHost) -> None:
    lane = Lane(lxd, lxd.unix | {"execution": "controller"})
    created = {"status": "Running", "config": {"limits.cpu": "1"}}
    prove(lane, NAME, {"source": TINY, "config": {"limits.cpu": 1}}, created)
    prove(lane, NAME, {"config": {"limits.cpu": None}}, {"config": {"limits.cpu": None}})
    prove(lane, NAME, {"state": "stopped", "force": True}, {"status": "Stopped"})
    prove(lane, NAME, {"state": "absent"}, None)


def test_the_same_by_the_module(lxd: LabHost) -> None:
    lane = Lane(lxd, lxd.unix | {"execution": "host"})
    prove(lane, NAME, {"source": TINY, "state": "present"}, {"status": "Stopped"})
    prove(lane, NAME, {"state": "absent"}, None)
