# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages: what the lab needs installed, and what it only unpacks to a prefix (Incus, CRIU)."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .processes import run
from .state import CACHE

NEEDED = (
    "acl attr btrfs-progs busybox-static dnsmasq-base iproute2 lxd lxd-client nftables openssl rsync squashfs-tools "
    "util-linux uidmap xfsprogs"
).split()
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# of the lxdops lab, for the time of an installation: no service is started\nexit 101\n"


@dataclass(frozen=True)
class Prefix:
    """Packages of another Debian release. `closed`: with all they depend on, libc too; else what this machine lacks."""

    name: str
    suites: tuple[str, ...]
    packages: tuple[str, ...]
    closed: bool


INCUS = Prefix("incus-6.0", ("bookworm", "bookworm-backports"), ("incus-base", "incus-client"), closed=False)
CRIU = Prefix("criu-4.1", ("trixie",), ("criu",), closed=True)


def install(needed: Sequence[str] = NEEDED) -> None:
    """Install what is missing of the needed packages, without letting any service start."""
    missing = [package for package in needed if not _installed(package)]
    if POLICY.exists() and POLICY.read_text() == POLICY_TEXT:
        POLICY.unlink()  # of a killed run
    if missing:
        with _no_services():
            apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "--quiet"]
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            run([*apt, "update"], env=environment, timeout=600)
            run([*apt, "install", "--yes", "--no-install-recommends", *missing], env=environment, timeout=1800)


def _installed(package: str) -> bool:
    return any(Path("/var/lib/dpkg/info").glob(f"{package}.list")) or any(
        Path("/var/lib/dpkg/info").glob(f"{package}:*.list")
    )


@contextmanager
def _no_services() -> Iterator[None]:
    """Debian's way to say that package scripts may not start services; a policy of the machine's own stays."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text(POLICY_TEXT)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def unpacked(prefix: Prefix) -> Path:
    """The directory that holds the prefix's files; fetched at first use, kept in the cache."""
    target = CACHE / prefix.name
    if not target.exists():
        building = CACHE / f"{prefix.name}.new"
        if building.exists():
            shutil.rmtree(building)
        for archive in _download(prefix, building):
            run(["dpkg", "--extract", archive, building / "root"], timeout=120)
        (building / "root").replace(target)
        shutil.rmtree(building)
    return target


def _download(prefix: Prefix, directory: Path) -> Sequence[Path]:
    """Fetch the packages with an apt state of our own, so that the machine's package sources stay as they are."""
    for part in ("lists/partial", "cache/archives/partial", "etc"):
        (directory / part).mkdir(parents=True)
    status = directory / "status"
    status.touch()
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    sources = [f"deb [signed-by={keys}] http://deb.debian.org/debian {suite} main\n" for suite in prefix.suites]
    (directory / "etc/sources.list").write_text("".join(sources))
    (directory / "etc/sources.list.d").mkdir()
    (directory / "etc/preferences.d").mkdir()
    settings = {
        "Dir::State": directory,
        "Dir::State::lists": directory / "lists",
        "Dir::State::status": status if prefix.closed else "/var/lib/dpkg/status",
        "Dir::Cache": directory / "cache",
        "Dir::Etc::sourcelist": directory / "etc/sources.list",
        "Dir::Etc::sourceparts": directory / "etc/sources.list.d",
        "Dir::Etc::preferencesparts": directory / "etc/preferences.d",
        "APT::Default-Release": prefix.suites[-1],
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "--quiet", *(f"--option={name}={value}" for name, value in settings.items())]
    run([*apt, "update"], timeout=600)
    run([*apt, "install", "--yes", "--download-only", "--no-install-recommends", *prefix.packages], timeout=1800)
    archives = sorted((directory / "cache/archives").glob("*.deb"))
    if not archives:
        raise LabError(f"apt-get downloaded nothing for {prefix.name}")
    return archives
