# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of a cluster: placed where the task says, and never moved by the way."""

from integration.case import Lane, prove
from integration.lab_host import LabHost

NAME = "member"
TINY = {"alias": "tiny"}


def test_target_places_a_new_instance_and_moves_none(cluster: list[LabHost]) -> None:
    lane = Lane(cluster[0], cluster[0].unix)
    here, there = sorted(url.rsplit("/", 1)[1] for url in lane.host.query("cluster/members"))
    try:
        assert f"its members are {here}, {there}" in lane.task(name=NAME, source=TINY, target="ghost")["msg"]
        prove(lane, NAME, {"source": TINY, "target": there}, {"location": there, "status": "Running"})
        refused = lane.task(name=NAME, target=here)
        assert f"it is on member {there}, the task says {here}; moving an instance is a migration" in refused["msg"]
        prove(Lane(cluster[1], cluster[1].https), NAME, {"state": "absent"}, None)
    finally:
        lane.host.remove(NAME)
