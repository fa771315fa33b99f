# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The errors of this collection: one root, so that a front end needs one ``except``."""

from __future__ import annotations

from typing import Any


class LxdError(Exception):
    """What went wrong, in words for the user, and facts about it (``details``, returned with the failure)."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Refused(LxdError):
    """The request cannot or may not be done; nothing was changed."""


class NotFound(LxdError):
    """The server has no such object."""


class Conflict(LxdError):
    """The object changed since it was read (HTTP 412): read and plan again."""


class Unreachable(LxdError):
    """No answer, or no trusted connection, from the endpoint."""


class OperationFailed(LxdError):
    """The server answered with an error, or its background operation failed."""


class TimedOut(LxdError):
    """Something did not happen within its time."""


class MissingLibrary(LxdError):
    """A Python library is missing where the module runs."""
