# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `python3 tests/storage COMMAND`."""

import argparse
import os
import sys
from collections.abc import Sequence

from lab.errors import LabError

from . import image
from .machine import Machine, names


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default="storage", help="which machine (default: storage)")
    top = argparse.ArgumentParser(prog="storage", description="A machine for storages, under QEMU; needs root.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("build", help="build its disk image, or say which there is")
    commands.add_parser("up", parents=[named], help="boot it; it keeps what it changed until `down`")
    commands.add_parser("reset", parents=[named], help="as if its power had failed for a moment")
    down = commands.add_parser("down", parents=[named], help="end it at once; leaves nothing but the image")
    down.add_argument("--all", action="store_true", help="every storage machine")
    shell = commands.add_parser("ssh", parents=[named], help="a shell there, or a command")
    shell.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = parser().parse_args(argv)
    if os.geteuid() != 0:
        print("storage: this needs root", file=sys.stderr)
        return 1
    try:
        _run(options)
    except LabError as error:
        print(f"storage: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    match options.command:
        case "build":
            print(image.describe(image.build()))
        case "up":
            machine = Machine(options.name)
            if machine.pid is None:
                machine.start(image.build())
            print(f"{machine.name}: up; python3 tests/storage ssh --name {machine.name}")
        case "reset":
            Machine(options.name).reset()
        case "down":
            for name in names() if options.all else [options.name]:
                Machine(name).stop()
        case "ssh":
            words = Machine(options.name).ssh_words()
            os.execvp(words[0], [*words, *options.words])
