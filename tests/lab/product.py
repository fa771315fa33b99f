# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between LXD and Incus, as far as the lab is concerned."""

import os
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Product:
    """The commands and environment variables of one product; `prefix` holds its packages where not installed."""

    name: str
    daemon: str
    client: str
    preseed: tuple[str, ...]
    directory_variable: str
    config_variable: str
    prefix: Path | None = None

    def client_environment(self, directory: Path, config: Path) -> dict[str, str]:
        """For the client program: talk to the daemon in `directory`, keep the client's own files in `config`."""
        return {
            "PATH": os.environ.get("PATH", SYSTEM_PATH),
            "TERM": os.environ.get("TERM", "dumb"),
            "HOME": str(config),
            self.directory_variable: str(directory),
            self.config_variable: str(config),
        }


def lxd() -> Product:
    """LXD as Debian installs it."""
    return Product("lxd", "/usr/bin/lxd", "/usr/bin/lxc", ("/usr/bin/lxd", "init", "--preseed"), "LXD_DIR", "LXD_CONF")


def incus(prefix: Path) -> Product:
    """Incus out of packages unpacked to `prefix`, which a host lays over its /usr."""
    client = str(prefix / "usr/bin/incus")
    preseed = (client, "admin", "init", "--preseed")
    return Product("incus", "/usr/libexec/incus/incusd", client, preseed, "INCUS_DIR", "INCUS_CONF", prefix)
