# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server is at work on its first answer while the task's other arguments are still being read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_from, connection_spec
from ansible_collections.lxdops.compute.plugins.module_utils.lxd import Server
from ansible_collections.lxdops.compute.plugins.module_utils.trust import Connection

Connecting = Callable[[Connection, Mapping[str, str], bool], Server]
Work = Callable[..., dict[str, Any]]

TURN = 0.0002
"""Seconds after which a thread that computes lets the one have its turn that the server has answered: Python's 5 ms,
for each step of a request, would add up to as much as the arguments take to be read."""
HEAD_START = 0.05
"""Seconds for which the arguments wait at most for the connection: beside them that takes three times as long, and
the question comes so much later."""


def asked_ahead(
    question: Callable[[Server], Any], work: Work, connecting: Connecting, given: Mapping[str, Any], check: bool
) -> tuple[Work, Connecting]:
    """Begin to connect and to ask. Returns work and connecting that go on with that, and fail as it fails; what was
    passed, where the connection cannot be told yet, or a certificate would be added for it: nothing is changed before
    all arguments have been read."""
    spec = connection_spec()
    options = ArgumentSpecValidator(spec).validate({name: given[name] for name in spec if name in given})
    if options.error_messages or options.validated_parameters["trust_token"]:
        return work, connecting
    sys.setswitchinterval(TURN)
    thread = ThreadPoolExecutor(1)
    server = thread.submit(connecting, connection_from(options.validated_parameters), dict(os.environ), check)
    answer = thread.submit(lambda: question(server.result()))
    thread.shutdown(wait=False)
    wait([server], HEAD_START)
    return partial(work, asked=answer.result), lambda _options, _environ, _check: server.result()
