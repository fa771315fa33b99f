# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `python3 tests/lab COMMAND`."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence

from . import fleet, network, state
from .errors import LabError
from .host import Host, client_environment, kill_daemon, power_off, start
from .state import Lab
from .status import table


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument(
        "--name", default="lab", help="which lab (default: lab); differently named ones run side by side"
    )
    top = argparse.ArgumentParser(
        prog="lab", description="A fleet of real LXD or Incus hosts on one machine; needs root."
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    up = commands.add_parser("up", parents=[named], help="build the lab, or mend what is there")
    size = up.add_mutually_exclusive_group()
    size.add_argument("--hosts", type=int, metavar="N", help="N standalone hosts (default: 1)")
    size.add_argument("--cluster", type=int, metavar="N", help="one cluster of N members")
    up.add_argument("--product", choices=("lxd", "incus"), default="lxd", help="what the hosts run (default: lxd)")
    up.add_argument("--criu", action="store_true", help="with CRIU, for stateful stop, snapshots and moves")

    commands.add_parser("status", parents=[named], help="what is there and how it does")
    down = commands.add_parser("down", parents=[named], help="remove the lab; leaves nothing but the cache")
    down.add_argument("--all", action="store_true", help="every lab of this machine")

    for command, text in {
        "kill": "SIGKILL the daemon of host N; its containers live on",
        "off": "SIGKILL all that runs on host N, its containers too, as when its power fails",
        "start": "start the daemon of host N again",
        "cut": "take host N off the network",
        "heal": "put host N back on the network",
        "env": "print shell assignments that point the client at host N",
    }.items():
        commands.add_parser(command, parents=[named], help=text).add_argument("number", type=int, metavar="N")
    client = commands.add_parser("lxc", parents=[named], help="run the client (lxc or incus) against host N")
    client.epilog = "--name goes before N: everything after N is the client's"
    client.add_argument("number", type=int, metavar="N")
    client.add_argument("words", nargs=argparse.REMAINDER, metavar="ARGS")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(words)
    if os.geteuid() != 0:
        return _as_root()
    try:
        _run(options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; `up` goes on from here, `down` removes what there is", file=sys.stderr)
        return 130
    return 0


def _as_root() -> int:
    sudo = shutil.which("sudo")
    if sudo is None:
        print("lab: this needs root, and there is no sudo", file=sys.stderr)
        return 1
    sys.stdout.flush()
    return os.execv(sudo, [sudo, "--", sys.executable, *sys.orig_argv[1:]])


def _run(options: argparse.Namespace) -> None:
    match options.command:
        case "up":
            with state.lab_lock(options.name):
                lab = fleet.up(_wanted(options))
            print(table(lab, fleet.hosts_of(lab)))
        case "down":
            fleet.down(state.names() if options.all else [Lab(options.name).name])
        case "status":
            lab = _present(options.name)
            print(table(lab, fleet.hosts_of(lab)))
        case "env":
            host = _host(options)
            for name, value in client_environment(host).items():
                if name in (host.product.directory_variable, host.product.config_variable):
                    print(f"export {name}={value}")
        case "lxc":
            if options.words[:1] == ["--name"]:
                raise LabError("--name goes before the host's number: everything after that is the client's")
            host = _host(options)
            os.execve(host.product.client, [host.product.client, *options.words], client_environment(host))
        case _:
            with state.lab_lock(options.name):
                _change(options.command, _host(options))


def _change(command: str, host: Host) -> None:
    match command:
        case "kill":
            kill_daemon(host)
        case "off":
            power_off(host)
        case "start":
            start(host)
        case "cut":
            network.cut(host.lab, host.number)
        case "heal":
            network.heal(host.lab, host.number)


def _wanted(options: argparse.Namespace) -> Lab:
    count = options.cluster or options.hosts or 1
    return Lab(options.name, options.product, count, clustered=bool(options.cluster), criu=options.criu)


def _present(name: str) -> Lab:
    lab = state.load(name)
    if lab is None:
        raise LabError(f"there is no lab {name}: make it with `up`")
    return lab


def _host(options: argparse.Namespace) -> Host:
    hosts, number = fleet.hosts_of(_present(options.name)), int(options.number)
    if not 1 <= number <= len(hosts):
        raise LabError(f"lab {options.name} has hosts 1 to {len(hosts)}, not {number}")
    return hosts[number - 1]
