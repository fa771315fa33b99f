# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The file systems of a virtual machine are frozen by a process in it, which thaws them itself: when its input ends, as
it does when we die, and after a time at the latest. From outside that could not be done for sure: on a frozen root
another command may hang."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing

from .errors import LxdError, OperationFailed
from .steps import Api
from .websocket import Channel

LEADER = 'exec 3<&0; setsid sh -c "$2" sh "$1" <&3 & wait $!'
"""The server kills what it has started when its connections break, so that is not the process that thaws."""
SCRIPT = """
trap '' PIPE HUP TERM INT
frozen=
thaw() { for place in $frozen; do fsfreeze --unfreeze "$place" 2> /dev/null; done; }
places= seen=
while read -r device place kind rest; do
  case $device in /dev/*) ;; *) continue ;; esac
  case $kind in ext[234]|xfs|btrfs|f2fs|jfs|nilfs2|reiserfs) ;; *) continue ;; esac
  case " $seen " in *" $device "*) continue ;; esac
  seen="$seen $device"
  places="$place $places"
done < /proc/mounts
sync
for place in $places; do
  fsfreeze --freeze "$place" || { thaw; exit 1; }
  frozen="$place $frozen"
done
echo frozen
timeout -s KILL "$1" cat > /dev/null
thaw
"""
"""The last mounted is frozen first, and thawed last. What has no journal of the kernel, as vfat, cannot be frozen."""
READY = b"frozen"
ENDING = 30.0
"""Seconds that the process may take for the thaw."""


class Lease:
    """The file systems of a guest are frozen until this ends, we die, or the time is over."""

    def __init__(self, on: Api, name: str, seconds: int, script: str = SCRIPT) -> None:
        """Raises OperationFailed where something could not be frozen: then nothing is."""
        self._on, self._stack = on, ExitStack()
        words = ["sh", "-c", LEADER, "sh", str(seconds), script]
        self._operation = on.begin(
            f"instances/{name}/exec", {"command": words, "interactive": False, "wait-for-websocket": True}
        )
        try:
            self._input, output, errors = (self._channel(number) for number in ("0", "1", "2"))
            heard, end = b"", time.monotonic() + seconds
            while READY not in heard and not output.closed and (left := end - time.monotonic()) > 0:
                heard += output.receive(left)
            if READY not in heard:
                said = errors.receive(1.0).decode("utf-8", "replace").strip() or "nothing"
                raise OperationFailed(
                    f"{name} on {on.name}: quiesce.freeze: its file systems could not be frozen by fsfreeze "
                    f"within {seconds} seconds; it said {said}. The nearest without fsfreeze are freeze: false with "
                    "commands, and a stop",
                    option="quiesce.freeze",
                )
        except LxdError:
            self._stack.close()
            raise

    def _channel(self, number: str) -> Channel:
        path, secret = f"/1.0/operations/{self._operation['id']}/websocket", self._operation["metadata"]["fds"][number]
        return self._stack.enter_context(closing(Channel(self._on, f"{path}?secret={secret}")))

    def end(self) -> None:
        """Have them thawed, and wait for that."""
        self._input.close()
        try:
            self._on.wait(self._operation, ENDING)
        finally:
            self._stack.close()
