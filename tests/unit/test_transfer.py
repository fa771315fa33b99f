# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which copies are tried once more."""

from __future__ import annotations

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.errors import OperationFailed
from ansible_collections.lxdops.compute.plugins.module_utils.transfer import once_more

NOT_STARTED = "Error transferring instance data: rsync failed to spawn after 10s (exit status 20)"
CUT_OFF = "Rsync send failed: [exit status 12] (rsync error: error in rsync protocol data stream (code 12))"


class Copies:
    """Copies that fail with these words, one after the other."""

    def __init__(self, *failures: str) -> None:
        self.failures = list(failures)
        self.begun = 0

    def __call__(self) -> None:
        """Copy."""
        self.begun += 1
        if self.failures:
            raise OperationFailed(self.failures.pop(0))


@pytest.mark.parametrize("words", [NOT_STARTED, CUT_OFF])
def test_one_whose_rsync_broke_off(words: str) -> None:
    copy = Copies(words)
    once_more(copy)
    assert copy.begun == 2


@pytest.mark.parametrize(("words", "begun"), [((CUT_OFF, NOT_STARTED), 2), (("No space left on device",), 1)])
def test_not_for_ever_and_nothing_else(words: tuple[str, ...], begun: int) -> None:
    copy = Copies(*words)
    with pytest.raises(OperationFailed, match=words[-1][:20]):
        once_more(copy)
    assert copy.begun == begun
