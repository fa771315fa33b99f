# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front end of action plugins: a module's spec and work, run in the worker of ansible-playbook itself.

The start of a module (a process, its unpacking, its imports) takes ten times longer than the work. ansible-playbook
loads action plugins before it forks its workers, so that pylxd, which this imports, is loaded once a play.

What ansible-playbook has made until then stays, so the garbage collector need not look through it again and again, in
the workers nor in the parent: Python's documentation of ``gc.freeze`` has it so for what will fork.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator, ValidationResult
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase
from ansible_collections.lxdops.compute.plugins.module_utils.front import Work, outcome
from ansible_collections.lxdops.compute.plugins.module_utils.lxd import Server, connect
from ansible_collections.lxdops.compute.plugins.module_utils.trust import MISSING, Connection, local_socket
from ansible_collections.lxdops.compute.plugins.plugin_utils.ahead import asked_ahead

gc.freeze()

_connections: dict[tuple[Connection, bool], Server] = {}
"""Those of this worker, which lives for one task of one host: the items of a loop share them."""


def run(
    action: ActionBase, module: ModuleType, task_vars: dict[str, Any] | None, work: Work | None = None
) -> dict[str, Any]:
    """A task's result: from the module's work (or ``work`` in its place) in this process where that is asked for or
    makes no difference, else from the module."""
    gc.freeze()
    task = action._task
    spec = module.spec()
    misfit = _misfit(spec["argument_spec"], task.args)
    if misfit:
        raise AnsibleActionFail(misfit)
    execution = task.args.get("execution", "auto")
    if execution == "controller" and task.async_val:
        raise AnsibleActionFail("execution: found controller with async, which only a module can do: allowed is host")
    if execution == "host" or (execution == "auto" and not _is_the_same_here(action)):
        return _on_host(action, task_vars)
    variables: dict[str, Any] = {}
    action._compute_environment_string(variables)
    given = task.args = _plain(task.args)  # The task goes back to the parent with them.
    with _environment(variables):
        work, connecting = work or module.work, getattr(module, "connecting", _kept)
        if hasattr(module, "ahead"):
            work, connecting = asked_ahead(module.ahead, work, connecting, given, bool(task.check_mode))
        checked = _checked(spec, given, getattr(module, "sparse", ()))
        params = checked.validated_parameters
        if checked.error_messages:
            result = {"failed": True, "msg": _complaint(checked, task.action)}
        else:
            result = outcome(work, params, os.environ, bool(task.check_mode), connecting)
    public = {**result, "invocation": {"module_args": given}}
    if checked._no_log_values:
        public = remove_values(public, checked._no_log_values)
    return _plain(public)


def _checked(spec: Mapping[str, Any], given: Mapping[str, Any], sparse: Sequence[str]) -> ValidationResult:
    """The arguments, validated. The items of a ``sparse`` option lack what none of them names: for each item Ansible's
    validation looks a dozen times at each option that it could have. What is wrong is told by the whole spec."""
    arguments = spec["argument_spec"]
    lean = {**arguments, **{name: _lean(arguments[name], given.get(name)) for name in sparse}}
    checked = ArgumentSpecValidator(**{**spec, "argument_spec": lean}).validate(given)
    return ArgumentSpecValidator(**spec).validate(given) if checked.error_messages and sparse else checked


def _lean(option: Mapping[str, Any], items: Any) -> dict[str, Any]:
    """An option that is a list of dictionaries, with what any of them names, or must name."""
    of_each = items if isinstance(items, list) else ()
    named = {key for item in of_each if isinstance(item, Mapping) for key in item}
    return {**option, "options": {key: of for key, of in option["options"].items() if key in named or "required" in of}}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Through JSON, as a module's arguments and results are: the same types, and nothing of ours that a variable would
    hold on to. Without Ansible's notes of where each value is from, whose copying would take longer than all else."""
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain


def _misfit(spec: Mapping[str, Any], args: Mapping[str, Any], within: str = "") -> str:
    """What is wrong with a number or a bool in the place of a dictionary, or nothing: Ansible's own validation ends
    with a TypeError there (parameters.py _validate_sub_spec)."""
    for name, value in args.items():
        options = spec.get(name, {}).get("options")
        if not options or value is None:
            continue
        parts = {f"[{number}]": part for number, part in enumerate(value)} if isinstance(value, list) else {"": value}
        for at, part in parts.items():
            where = f"{within}{name}{at}"
            if isinstance(part, (bool, int, float)):
                return f"argument '{where}' is of type {type(part).__name__} and we were unable to convert to dict"
            found = _misfit(options, part, f"{where}.") if isinstance(part, Mapping) else ""
            if found:
                return found
    return ""


def _complaint(checked: ValidationResult, name: str) -> str:
    """What AnsibleModule says of wrong arguments."""
    message: str = checked.errors.msg
    unsupported = isinstance(checked.errors[0], UnsupportedError)
    return f"Unsupported parameters for ({name}) module: {message}" if unsupported else message


def _is_the_same_here(action: ActionBase) -> bool:
    """Whether a module would run on this machine as this user, and could do so here."""
    connection = action._connection
    return connection.transport == "local" and not connection.become and not action._task.async_val and not MISSING


def _on_host(action: ActionBase, task_vars: dict[str, Any] | None) -> dict[str, Any]:
    """The result of the module, as Ansible's own action `normal` runs it."""
    wrap_async = bool(action._task.async_val) and not action._connection.has_native_async
    result: dict[str, Any] = action._execute_module(task_vars=task_vars, wrap_async=wrap_async)
    if not wrap_async:
        action._remove_tmp_path(action._connection._shell.tmpdir)
    return result


def _kept(options: Connection, environ: Mapping[str, str], check: bool) -> Server:
    """A server that is connected already, or now."""
    options = replace(options, endpoint=options.endpoint or local_socket(environ))
    if (options, check) not in _connections:
        _connections[options, check] = connect(options, environ, check)
    return _connections[options, check]


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """The task's own environment variables, where a module would find them."""
    before = dict(os.environ)
    os.environ.update({name: str(value) for name, value in variables.items()})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
