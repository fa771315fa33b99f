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
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from typing import Any

import requests
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator


def die_at(number: int, when: str, files: bool = False) -> None:
    """Let this process end at its NUMBERth write; not those that it forks. ``files``: what is done to files counts."""
    writes, mine = 0, os.getpid()

    def deadly(call: Callable[..., Any], writing: Callable[..., bool] = lambda *_words: True) -> Callable[..., Any]:
        def counting(*words: Any, **more: Any) -> Any:
            nonlocal writes
            if os.getpid() != mine or not writing(*words):
                return call(*words, **more)
            writes += 1
            due = writes == number
            if due and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return call(*words, **more)
            finally:
                if due:
                    os.kill(os.getpid(), signal.SIGKILL)

        return counting

    def sends(_session: requests.Session, request: requests.PreparedRequest) -> bool:
        return request.method != "GET"

    requests.Session.send = deadly(requests.Session.send, sends)  # type: ignore[method-assign]
    for name in ("fsync", "unlink", "replace") if files else ():
        setattr(os, name, deadly(getattr(os, name)))


def run(number: int, when: str, parameters: Mapping[str, Any], name: str, files: bool) -> None:
    """Run, and die on the way."""
    from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_from
    from ansible_collections.lxdops.compute.plugins.module_utils.lxd import connect

    module = importlib.import_module(f"ansible_collections.lxdops.compute.plugins.modules.{name}")
    checked = ArgumentSpecValidator(**module.spec()).validate(parameters)
    if checked.error_messages:
        raise SystemExit("; ".join(checked.error_messages))
    params = checked.validated_parameters
    server = getattr(module, "connecting", connect)(connection_from(params), os.environ, False)
    die_at(number, when, files)
    result = module.work(server, params, False)
    if result.get("failed"):
        raise SystemExit(result["msg"])


def started(
    parameters: Mapping[str, Any],
    number: int = 0,
    when: str = "",
    module: str = "lxd_instance",
    files: bool = False,
) -> BaseProcess:
    """A task in a process of its own, which is killed at its NUMBERth write; 0: never."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(number, when, parameters, module, files))
    process.start()
    return process


def killed(
    number: int, when: str, parameters: Mapping[str, Any], module: str = "lxd_instance", files: bool = False
) -> bool:
    """Run a task that is killed at a write; False when it has no such write and ran to its end."""
    process = started(parameters, number, when, module, files)
    process.join(timeout=120)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0
