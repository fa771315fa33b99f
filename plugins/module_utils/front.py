# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What both front ends share, module and action plugin: the connection options, and one way to work and to fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeVar

from ansible.module_utils.basic import AnsibleModule, env_fallback

from .errors import LxdError
from .lxd import Server, connect
from .trust import Connection

On = TypeVar("On")

Work = Callable[[Server, Mapping[str, Any], bool], dict[str, Any]]
"""What a module does: with a server, validated parameters and whether it only checks; a module's result."""


def _option(variable: str, **spec: Any) -> dict[str, Any]:
    return {"type": "str", "fallback": (env_fallback, [variable]), **spec}


def connection_spec() -> dict[str, dict[str, Any]]:
    """The connection options, documented in doc_fragments/connection.py."""
    return {
        "endpoint": _option("LXD_ENDPOINT"),
        "client_cert": _option("LXD_CLIENT_CERT", type="path"),
        "client_key": _option("LXD_CLIENT_KEY", type="path", no_log=False),
        "server_cert": _option("LXD_SERVER_CERT", type="path"),
        "server_fingerprint": _option("LXD_SERVER_FINGERPRINT"),
        "trust_token": _option("LXD_TRUST_TOKEN", no_log=True),
        "project": _option("LXD_PROJECT", default="default"),
        "wait_timeout": {"type": "float", "default": 300},
        "execution": {"type": "str", "choices": ["auto", "controller", "host"], "default": "auto"},
    }


def connection_from(params: Mapping[str, Any]) -> Connection:
    """The connection that a task's parameters describe."""
    return Connection(
        **{field.name: params[field.name] for field in fields(Connection) if params.get(field.name) is not None}
    )


@contextmanager
def connected(params: Mapping[str, Any], environ: Mapping[str, str], check: bool) -> Iterator[Server]:
    """Another server than the task's, for as long as it is needed."""
    server = connect(connection_from(params), environ, check)
    try:
        yield server
    finally:
        server.close()


def outcome(
    work: Callable[[On, Mapping[str, Any], bool], dict[str, Any]],
    params: Mapping[str, Any],
    environ: Mapping[str, str],
    check: bool,
    connecting: Callable[[Connection, Mapping[str, str], bool], On],
) -> dict[str, Any]:
    """A module's result: of the work, or ``failed`` with the error in words. The one ``except LxdError`` of modules."""
    try:
        return work(connecting(connection_from(params), environ, check), params, check)
    except LxdError as error:
        return {"failed": True, "msg": error.message, "error": type(error).__name__, **error.details}


def run(spec: Mapping[str, Any], work: Any, connecting: Any = connect, public: Any = None) -> None:
    """Run as a module: ``spec`` are AnsibleModule's arguments; ``public``: what of them no_log need not hide."""
    module = AnsibleModule(supports_check_mode=True, **spec)
    if public:
        module.no_log_values -= public(module.params)
    result = outcome(work, module.params, os.environ, module.check_mode, connecting)
    for warning in result.pop("warnings", ()):
        module.warn(warning)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)
