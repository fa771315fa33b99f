# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Whether a host gives a sign of life."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from .errors import Refused

SIGN_OF_LIFE = 5.0
"""Seconds within which a host takes a connection that is not dead."""


def answers(endpoint: str) -> bool:
    """Whether somebody takes a connection there within some seconds: an answer in another protocol, or a refusal of our
    certificate, is one too. Refuses a name that cannot be looked up, since that says nothing about the host."""
    try:
        if endpoint.startswith("https://"):
            url = urlsplit(endpoint)
            socket.create_connection((url.hostname or "", url.port or 443), timeout=SIGN_OF_LIFE).close()
            return True
        with socket.socket(socket.AF_UNIX) as local:
            local.settimeout(SIGN_OF_LIFE)
            local.connect(endpoint)
            return True
    except socket.gaierror as error:
        raise Refused(f"endpoint: {endpoint} cannot be looked up: {error}", option="endpoint") from None
    except OSError:
        return False
