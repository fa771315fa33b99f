# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A program of the host, run to its end."""

from __future__ import annotations

import subprocess

from .errors import MissingLibrary, OperationFailed


def run_program(
    *words: str, allowed: tuple[int, ...] = (0,), secret: bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """Its output; what is secret is its standard input. Raises OperationFailed with what it said."""
    try:
        done = subprocess.run(words, input=secret or b"", capture_output=True, check=False)
    except FileNotFoundError:
        raise MissingLibrary(f"the program {words[0]} is needed where this module runs") from None
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if done.returncode not in allowed:
        raise OperationFailed(f"{' '.join(words)} ended with {done.returncode}: {(err or out).strip()}")
    return subprocess.CompletedProcess(words, done.returncode, out, err)
