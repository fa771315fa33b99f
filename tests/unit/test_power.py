# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stop makes of the ways in which a server fails to stop a guest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.errors import NotFound, OperationFailed
from ansible_collections.lxdops.compute.plugins.module_utils.instance_power import Power

AT_ONCE = "shutting down the container failed"
"""What LXD 5.0 says without waiting, when the guest's init could not be signalled."""


class Host:
    """A server whose first requests fail; `after` is the status that is seen then."""

    name = "host1"

    def __init__(self, failures: int, after: str = "Running") -> None:
        self.failures = failures
        self.after = after
        self.asked: list[Mapping[str, Any]] = []

    def get(self, path: str) -> Mapping[str, Any]:
        """The state of the instance."""
        if self.after == "gone":
            raise NotFound(f"{path}: not found")
        return {"status": self.after}

    def put(self, path: str, body: Mapping[str, Any], timeout: float | None = None) -> None:
        """Take a request, or fail it."""
        assert path == "instances/web1/state"
        assert timeout is None or timeout > body["timeout"]
        self.asked.append(body)
        if len(self.asked) <= self.failures:
            raise OperationFailed(AT_ONCE)


@pytest.mark.parametrize("action", ["stop", "restart"])
def test_one_that_could_not_be_signalled_is_asked_once_more(action: str) -> None:
    host = Host(failures=1)
    Power("web1", action).run(host)  # type: ignore[arg-type]
    assert [body["force"] for body in host.asked] == [False, False]


def test_it_fails_in_words_when_that_fails_too() -> None:
    host = Host(failures=9)
    with pytest.raises(OperationFailed, match=rf"^web1 on host1: the guest did not stop .*{AT_ONCE}"):
        Power("web1", "stop").run(host)  # type: ignore[arg-type]
    assert len(host.asked) == 2


def test_the_time_is_not_given_twice() -> None:
    host = Host(failures=1)
    with pytest.raises(OperationFailed):
        Power("web1", "stop", timeout=0).run(host)  # type: ignore[arg-type]
    assert len(host.asked) == 1


@pytest.mark.parametrize("kill", ["never", "late"])
@pytest.mark.parametrize("after", ["Stopped", "gone"])
def test_one_that_ended_meanwhile_is_stopped(after: str, kill: str) -> None:
    host = Host(failures=1, after=after)
    Power("web1", "stop", kill=kill).run(host)  # type: ignore[arg-type]
    assert len(host.asked) == 1


def test_late_means_after_it_was_asked() -> None:
    host = Host(failures=2)
    Power("web1", "stop", kill="late").run(host)  # type: ignore[arg-type]
    assert [body["force"] for body in host.asked] == [False, False, True]
