# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module run on a lab host, in its namespaces, as Ansible would run it there: `volume_run.py MODULE [NUMBER WHEN]`
with the arguments on its standard input. At its NUMBERth change of anything, the server, a record, a connection, a
filesystem or a copy, the process kills itself before it or right after it.
"""

import os
import runpy
import signal
import sys
from collections.abc import Callable
from typing import Any

import requests
from ansible.module_utils import basic

MODULES = "ansible_collections.lxdops.compute.plugins.modules"
LOOKING = ("cat", "grep", "lsblk", "lsscsi", "which", "blkid")
"""Programs that change nothing."""
LOOKS = (
    {"nvme", "version"},
    {"nvme", "id-ns"},
    {"multipath", "-l"},
    {"multipath", "-C"},
    {"multipathd", "show"},
    {"cryptsetup", "isLuks"},
)
"""Nor does a program with these words."""
ISCSI = {"--op", "--login", "--logout", "--rescan", "-R"}
"""And iscsiadm only with one of these."""


def is_change(*words: object) -> bool:
    """Whether a program may change anything: one that only looks is no other moment to be killed at."""
    spoken = {str(word) for word in words}
    name = str(words[0]).split()[0]  # Of a shell's command, where that is one word.
    if name == "iscsiadm":
        return bool(spoken & ISCSI)
    return name not in LOOKING and not any(looking <= spoken for looking in LOOKS)


def die_at(number: int, when: str, programs: bool = False) -> None:
    """Let this process end at its NUMBERth change. ``programs``: each that is run for a connection may be one, too."""
    from ansible_collections.lxdops.compute.plugins.module_utils import loop, luks, nvme, volume_steps, volume_swap
    from ansible_collections.lxdops.compute.plugins.module_utils.block_copy import Copy
    from ansible_collections.lxdops.compute.plugins.module_utils.brick import Brick
    from ansible_collections.lxdops.compute.plugins.module_utils.brick_programs import Programs
    from ansible_collections.lxdops.compute.plugins.module_utils.cinder import Cinder
    from ansible_collections.lxdops.compute.plugins.module_utils.volume_record import Records

    changes, mine = 0, os.getpid()

    def counted(owner: Any, name: str, counts: Callable[..., bool] = lambda *_args: True) -> None:
        original = getattr(owner, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            nonlocal changes
            if os.getpid() != mine:
                return original(*args, **kwargs)  # The watchdog lives on.
            changes += counts(*args)
            due = counts(*args) and changes == number
            if due and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return original(*args, **kwargs)
            finally:
                if due:  # A program that failed has had its effect, too.
                    os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, name, counting)

    counted(
        requests.Session,
        "send",
        lambda _self, request, *_args: request.method != "GET" and request.url.startswith("http+unix"),
    )
    verbs: dict[Any, tuple[str, ...]] = {
        Brick: ("connect", "extend", "disconnect"),
        Cinder: ("reserve", "connect", "complete", "release"),
        Records: ("write", "remove"),
        volume_steps: ("make_filesystem", "grow_filesystem"),
        Copy: ("first", "last"),
        volume_swap: ("grow_filesystem",),
    }
    for owner, names in verbs.items():
        for name in names:
            counted(owner, name)
    if programs:
        counted(Programs, "__call__", lambda _self, *words: is_change(*words))
        for layer in (loop, luks, nvme):
            counted(layer, "run_program", is_change)


if __name__ == "__main__":
    sys.path.insert(0, os.environ["ANSIBLE_COLLECTIONS_PATH"])
    basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
    basic._ANSIBLE_PROFILE = "legacy"
    module, *death = sys.argv[1:]
    if death:
        die_at(int(death[0]), death[1])
    sys.argv = [module]
    runpy.run_module(f"{MODULES}.{module}", run_name="__main__")
