# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module run on a lab host, in its namespaces, as Ansible would run it there: `volume_run.py MODULE [NUMBER WHEN]`
with the arguments on its standard input. At its NUMBERth change of anything, the server, a record, a connection or a
filesystem, the process kills itself before it or right after it.
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


def die_at(number: int, when: str, programs: bool = False) -> None:
    """Let this process end at its NUMBERth change. ``programs``: each that is run for a connection is one, too."""
    from ansible_collections.lxdops.compute.plugins.module_utils import loop, luks, volume_steps
    from ansible_collections.lxdops.compute.plugins.module_utils.brick import Brick
    from ansible_collections.lxdops.compute.plugins.module_utils.brick_programs import Programs
    from ansible_collections.lxdops.compute.plugins.module_utils.volume_record import Records

    changes = 0

    def counted(owner: Any, name: str, counts: Callable[..., bool] = lambda *_args: True) -> None:
        original = getattr(owner, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            nonlocal changes
            changes += counts(*args)
            due = counts(*args) and changes == number
            if due and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*args, **kwargs)
            if due:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, counting)

    counted(requests.Session, "send", lambda _self, request, *_args: request.method != "GET")
    for verb in ("connect", "extend", "disconnect"):
        counted(Brick, verb)
    for verb in ("write", "remove"):
        counted(Records, verb)
    for verb in ("make_filesystem", "grow_filesystem"):
        counted(volume_steps, verb)
    if programs:
        counted(Programs, "__call__")
        for owner in (loop, luks):
            counted(owner, "run_program")


if __name__ == "__main__":
    sys.path.insert(0, os.environ["ANSIBLE_COLLECTIONS_PATH"])
    basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
    basic._ANSIBLE_PROFILE = "legacy"
    module, *death = sys.argv[1:]
    if death:
        die_at(int(death[0]), death[1])
    sys.argv = [module]
    runpy.run_module(f"{MODULES}.{module}", run_name="__main__")
