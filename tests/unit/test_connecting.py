# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said where a server does not answer: the cause, and nothing of the libraries in between."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Unreachable
from ansible_collections.lxdops.compute.plugins.module_utils.lxd import connect
from ansible_collections.lxdops.compute.plugins.module_utils.trust import Connection


def test_the_cause_is_told_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for endpoint, words in (
        (f"https://127.0.0.1:{port}", "Connection refused"),
        ("https://host.invalid:8443", "Name or service not known"),
    ):
        with pytest.raises(Unreachable) as failed:
            connect(Connection(endpoint=endpoint), {})
        assert failed.value.message == f"{endpoint}: {words}"
