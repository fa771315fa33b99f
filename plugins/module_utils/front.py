# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What every module front end shares: the connection options, and one way to run and to fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback

from .errors import LxdError
from .lxd import Connection, Server, connect


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
    }


def connection_from(params: Mapping[str, Any]) -> Connection:
    """The connection that a task's parameters describe."""
    return Connection(**{option: params[option] for option in connection_spec() if params.get(option) is not None})


def run(module: AnsibleModule, work: Callable[[Server, bool], dict[str, Any]]) -> None:
    """Connect, do the work, and end the module with its result or with the error in words. The one ``except
    LxdError``."""
    try:
        on = connect(connection_from(module.params), os.environ, module.check_mode)
        result = work(on, module.check_mode)
    except LxdError as error:
        details = {"error": type(error).__name__, **error.details}
        module.fail_json(msg=error.message, **details)
    module.exit_json(**result)
