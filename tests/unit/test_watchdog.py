# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that ends what ours has begun: when ours dies, fails or is late, and else not."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.watchdog import watched


def tell(path: Path, word: str) -> None:
    path.write_text(word)


def test_nothing_is_ended_that_was_ended_in_time(tmp_path: Path) -> None:
    with watched(60, (tmp_path / "ended").touch) as over:
        over()
    assert not (tmp_path / "ended").exists()


def test_what_fails_within_is_ended(tmp_path: Path) -> None:
    with pytest.raises(KeyError), watched(60, (tmp_path / "ended").touch):
        raise KeyError
    assert (tmp_path / "ended").exists()


def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ended")
    with watched(0.05, partial(tell, tmp_path / "ended", "late")) as over:
        assert (tmp_path / "ended").read_text() == "late"
        over()


def test_what_is_killed_within_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ended")
    child = os.fork()
    if child == 0:
        with watched(60, partial(tell, tmp_path / "ended", "died")):
            os.kill(os.getpid(), signal.SIGKILL)
    assert (tmp_path / "ended").read_text() == "died"
    os.waitpid(child, 0)
