# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk image of the storage machine: Debian 12 with its own kernel, LXD, the programs of the storages, and the
Python libraries that the collection needs on a host. Built from packages, kept in the cache under a name made of all
that it is built from; a build that was cut short is begun anew."""

import fcntl
import gzip
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import image as containers
from lab import packages
from lab.errors import LabError
from lab.processes import run
from lab.state import machine_lock

CACHE = Path("/var/cache/lxdops-storage")
MACHINES = Path("/var/lib/lxdops-storage")
"""A directory for each machine; its disk there has only what differs from the image's."""
GUEST = Path(__file__).with_name("guest")
PINS = Path(__file__).parents[1] / "requirements/main.txt"
LIBRARIES = ("ansible-core", "os-brick", "pylxd")
PYTHON = "3.11"
"""Debian 12's."""
HERE = ("qemu-system-x86", "qemu-utils", "mmdebstrap", "openssh-client", "cpio", "busybox-static", "python3-pip")
"""What this machine needs to build and run it."""
THERE = (
    "systemd systemd-sysv udev dbus kmod iproute2 openssh-server procps ca-certificates nftables iptables rsync "
    "xz-utils lxd lxd-client lxcfs dnsmasq-base busybox-static python3 open-iscsi multipath-tools cryptsetup-bin "
    "nvme-cli sysfsutils sg3-utils lsscsi e2fsprogs nfs-kernel-server nfs-common ceph-common ceph-mon ceph-osd"
).split()
SUITES = (
    "deb http://deb.debian.org/debian bookworm main",
    "deb http://deb.debian.org/debian bookworm-updates main",
    "deb http://security.debian.org/debian-security bookworm-security main",
)
KERNEL = "linux-image-amd64"
UNNEEDED = (
    "drivers/gpu drivers/media sound drivers/net/wireless drivers/iio drivers/usb drivers/staging drivers/infiniband "
    "drivers/bluetooth drivers/net/ethernet fs/ocfs2 fs/gfs2 drivers/hid drivers/isdn drivers/hwmon drivers/platform"
).split()
"""Of the kernel's modules; network cards but one among them."""
NEEDED = "drivers/net/ethernet/intel/e1000"
EARLY = ("virtio_pci", "virtio_blk", "ext4")
"""What the kernel needs to find its root."""
GIB = 12


@dataclass(frozen=True)
class Image:
    """The files that a machine is started from; the disk is only read."""

    directory: Path

    @property
    def disk(self) -> Path:
        return self.directory / "disk.qcow2"

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.directory / "initrd"

    @property
    def key(self) -> Path:
        """The private key that its root lets in."""
        return self.directory / "key"


def build() -> Image:
    """The image, from the cache or built: a few minutes and 700 MB of downloads."""
    with machine_lock():
        packages.install(HERE)
    with _lock():
        made = Image(CACHE / f"image-{_identity()}")
        if not made.key.exists():
            for old in set(CACHE.glob("image-*")) - _used():
                shutil.rmtree(old)
            _build(made)
        return made


def _used() -> set[Path]:
    """The images that machines stand on: of another checkout, maybe, and they may run."""
    disks = MACHINES.glob("*/disk.qcow2")
    told = [json.loads(run(["qemu-img", "info", "--force-share", "--output=json", disk])) for disk in disks]
    return {Path(one["backing-filename"]).parent for one in told}


@contextmanager
def _lock() -> Iterator[None]:
    """One build at a time; not the lock of the labs, which come up meanwhile."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _identity() -> str:
    parts = hashlib.sha256(PINS.read_bytes())
    for source in (Path(__file__), *sorted(path for path in GUEST.rglob("*") if path.is_file())):
        parts.update(source.read_bytes())
    return parts.hexdigest()[:16]


def _build(made: Image) -> None:
    root = CACHE / "root"
    if root.exists():
        shutil.rmtree(root)
    fresh = Image(CACHE / "new")
    if fresh.directory.exists():
        shutil.rmtree(fresh.directory)
    fresh.directory.mkdir(parents=True)
    _install_packages(root)
    version = _install_kernel(root)
    _install_libraries(root / "opt/lxdops")
    _configure(root)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", fresh.directory / "key"])
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    (root / "root/.ssh/authorized_keys").write_text((fresh.directory / "key.pub").read_text())
    shutil.copy(root / f"boot/vmlinuz-{version}", fresh.kernel)
    _make_initrd(root, version, fresh.initrd)
    _make_disk(root, fresh.disk)
    shutil.rmtree(root)
    fresh.directory.replace(made.directory)


def _install_packages(root: Path) -> None:
    quiet = ["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*"]
    quiet.append("--dpkgopt=path-exclude=/usr/share/locale/*")
    words = ["mmdebstrap", "--mode=root", "--variant=minbase", '--aptopt=APT::Install-Recommends "false"', *quiet]
    # Syncing each file of a tree that is thrown away when it is not whole would only cost time.
    words += ["--dpkgopt=force-unsafe-io", f"--include={','.join(THERE)}", "bookworm", str(root), *SUITES]
    run(words, timeout=1800)


def _install_kernel(root: Path) -> str:
    """Debian's kernel and the modules that are needed; its version."""
    listed = run(["apt-cache", "depends", KERNEL])
    name = next((line.split()[1] for line in listed.splitlines() if line.strip().startswith("Depends: ")), "")
    if not name:
        raise LabError(f"apt knows no {KERNEL}")
    fresh = CACHE / "new"
    run(["apt-get", "--quiet", "download", "-o", "APT::Sandbox::User=root", name], cwd=fresh, timeout=900)
    (archive,) = fresh.glob("linux-image-*.deb")
    # Not into the root itself: its /lib is a link.
    run(["dpkg", "--extract", archive, fresh / "kernel"], timeout=300)
    archive.unlink()
    for part in ("boot", "lib/modules"):
        shutil.copytree(fresh / "kernel" / part, root / part, dirs_exist_ok=True)
    shutil.rmtree(fresh / "kernel")
    version = name.removeprefix("linux-image-")
    modules = root / f"lib/modules/{version}/kernel"
    kept = fresh / "kept"
    (modules / NEEDED).replace(kept)
    for each in UNNEEDED:
        shutil.rmtree(modules / each, ignore_errors=True)
    (modules / NEEDED).parent.mkdir(parents=True)
    kept.replace(modules / NEEDED)
    run(["chroot", root, "/sbin/depmod", version], timeout=120)
    return version


def _install_libraries(directory: Path) -> None:
    """As wheels for Debian's Python, in the versions that the other tests have."""
    words = [
        "/usr/bin/python3",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "install",
        "--target",
        str(directory),
    ]
    words += ["--python-version", PYTHON, "--implementation", "cp", "--only-binary=:all:", "--constraint", str(PINS)]
    run([*words, *LIBRARIES], timeout=1800)
    run(["chroot", directory.parents[1], "/usr/bin/python3", "-m", "compileall", "-q", "/opt/lxdops"], timeout=600)


def _configure(root: Path) -> None:
    """Our files over Debian's; services run when a test starts them."""
    shutil.copytree(GUEST / "etc", root / "etc", dirs_exist_ok=True)
    shutil.copytree(GUEST / "usr", root / "usr", dirs_exist_ok=True)
    for program in (root / "usr/local/sbin").iterdir():
        program.chmod(0o755)
    _make_ceph(root)
    shutil.copy(containers.build()["tiny"], root / "root/tiny.tar.gz")
    units = root / "etc/systemd/system"
    for wants in units.glob("*.wants"):
        shutil.rmtree(wants)
    (units / "multi-user.target.wants").mkdir()
    for unit in ("ssh.service", "systemd-networkd.service", "targets.service"):
        (units / "multi-user.target.wants" / unit).symlink_to(
            f"/etc/systemd/system/{unit}" if (units / unit).exists() else f"/lib/systemd/system/{unit}"
        )
    for unit in ("apt-daily.timer", "getty@tty1.service", "systemd-networkd-wait-online.service"):
        (units / unit).symlink_to("/dev/null")
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")


def _make_ceph(root: Path) -> None:
    """In namespaces of its own: its addresses are the machine's, and its daemons end with their first process."""
    words = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc=" + str(root / "proc")]
    run([*words, "chroot", root, "/usr/local/sbin/ceph-store", "make"], timeout=300)


def _make_initrd(root: Path, version: str, initrd: Path) -> None:
    """A busybox that loads the modules for the root file system and goes on there."""
    tree = CACHE / "new/initrd.d"
    for name in ("bin", "lib", "proc", "sys", "dev", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/usr/bin/busybox", tree / "bin/busybox")
    (tree / "bin/sh").symlink_to("busybox")
    order: list[str] = []
    for module in EARLY:
        found = run(["chroot", root, "/sbin/modprobe", "--show-depends", "--set-version", version, module])
        for path in (line.split()[1] for line in found.splitlines() if line.startswith("insmod")):
            name = Path(path).name
            if name not in order:
                shutil.copy(root / path.lstrip("/"), tree / "lib" / name)
                order.append(name)
    (tree / "lib/order").write_text("".join(f"{name}\n" for name in order))
    shutil.copy(GUEST / "initrd-init", tree / "init")
    (tree / "init").chmod(0o755)
    listed = "\n".join(sorted(str(path.relative_to(tree)) for path in tree.rglob("*")))
    packed = subprocess.run(
        ["cpio", "--create", "--format=newc", "--quiet"],
        cwd=tree,
        input=listed.encode(),
        capture_output=True,
        check=True,
    )
    initrd.write_bytes(gzip.compress(packed.stdout, compresslevel=1))
    shutil.rmtree(tree)


def _make_disk(root: Path, disk: Path) -> None:
    raw = disk.with_suffix(".raw")
    with raw.open("wb") as file:
        file.truncate(GIB << 30)
    run(["mkfs.ext4", "-q", "-L", "root", "-d", root, "-E", "lazy_itable_init=1,lazy_journal_init=1", raw], timeout=600)
    run(["qemu-img", "convert", "-O", "qcow2", raw, disk], timeout=600)
    raw.unlink()


def describe(made: Image) -> str:
    """What it is, in a line."""
    size = json.loads(run(["qemu-img", "info", "--output=json", made.disk]))["actual-size"]
    return f"{made.directory.name}: {size >> 20} MiB"
