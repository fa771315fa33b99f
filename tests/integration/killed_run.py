# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of a module that is killed at one of its writes.

The module's own code runs in a process of its own, with its own argument spec. At the given request that is no GET the
process kills itself, before the request is sent or as soon as it is answered.
"""

import importlib
import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from typing import Any

import requests
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator


def die_at(number: int, when: str) -> None:
    """Let this process end at its NUMBERth write; not those that it forks."""
    send = requests.Session.send
    writes, mine = 0, os.getpid()

    def counting(self: requests.Session, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        nonlocal writes
        if os.getpid() != mine:
            return send(self, request, **kwargs)
        writes += request.method != "GET"
        due = request.method != "GET" and writes == number
        if due and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        response = send(self, request, **kwargs)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return response

    requests.Session.send = counting  # type: ignore[method-assign]


def run(number: int, when: str, parameters: Mapping[str, Any], name: str) -> None:
    """Run, and die on the way."""
    from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_from
    from ansible_collections.lxdops.compute.plugins.module_utils.lxd import connect

    module = importlib.import_module(f"ansible_collections.lxdops.compute.plugins.modules.{name}")
    checked = ArgumentSpecValidator(**module.spec()).validate(parameters)
    if checked.error_messages:
        raise SystemExit("; ".join(checked.error_messages))
    params = checked.validated_parameters
    server = getattr(module, "connecting", connect)(connection_from(params), os.environ, False)
    die_at(number, when)
    result = module.work(server, params, False)
    if result.get("failed"):
        raise SystemExit(result["msg"])


def started(
    parameters: Mapping[str, Any], number: int = 0, when: str = "", module: str = "lxd_instance"
) -> BaseProcess:
    """A task in a process of its own, which is killed at its NUMBERth write; 0: never."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(number, when, parameters, module))
    process.start()
    return process


def killed(number: int, when: str, parameters: Mapping[str, Any], module: str = "lxd_instance") -> bool:
    """Run a task that is killed at a write; False when it has no such write and ran to its end."""
    process = started(parameters, number, when, module)
    process.join(timeout=120)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0
