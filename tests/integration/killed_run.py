# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of lxd_instance that is killed at one of its writes: `killed_run.py NUMBER before|after PARAMETERS`.

The module's own code runs in this process, with its own argument spec. At the NUMBERth request that is no GET the
process kills itself, before the request is sent or as soon as it is answered. A run of fewer writes ends with exit
code 0.
"""

import json
import os
import signal
import sys
from typing import Any

import requests
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.loader import init_plugin_loader


def die_at(number: int, when: str) -> None:
    """Let this process end at its NUMBERth write."""
    send = requests.Session.send
    writes = 0

    def counting(self: requests.Session, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        nonlocal writes
        writes += request.method != "GET"
        due = request.method != "GET" and writes == number
        if due and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        response = send(self, request, **kwargs)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return response

    requests.Session.send = counting  # type: ignore[method-assign]


def main(number: str, when: str, parameters: str) -> None:
    """Run, and die on the way."""
    init_plugin_loader([os.environ["ANSIBLE_COLLECTIONS_PATH"]])
    from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_from
    from ansible_collections.lxdops.compute.plugins.module_utils.instance_domain import converge_instance
    from ansible_collections.lxdops.compute.plugins.module_utils.lxd import connect
    from ansible_collections.lxdops.compute.plugins.modules.lxd_instance import spec

    checked = ArgumentSpecValidator(**spec()).validate(json.loads(parameters))
    if checked.error_messages:
        raise SystemExit("; ".join(checked.error_messages))
    params = checked.validated_parameters
    server = connect(connection_from(params), os.environ)
    die_at(int(number), when)
    converge_instance(server, params, check=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
