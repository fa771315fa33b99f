# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second disk for the storage machine: what LXD needs there to run virtual machines, and the image of one. So the
tests of volumes, which need none of it, carry nothing of it.

The guest is a kernel with a busybox and Debian's agent of LXD, which LXD itself hands to it: one file that the firmware
starts, on a disk of 64 MiB. Built from packages in seconds, kept under a name made of all that it is built from.
"""

import gzip
import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path

from lab import packages
from lab.packages import Prefix
from lab.processes import run
from lab.state import machine_lock
from storage import image as storage
from storage.image import CACHE

GUEST = Path(__file__).with_name("guest")
LAB_GUEST = Path(__file__).parents[1] / "lab/guest"
HERE = ("binutils", "busybox-static", "cpio", "dosfstools", "e2fsprogs", "gdisk", "kmod", "mtools", "qemu-utils")
"""What this machine needs to build it."""
PROGRAMS = Prefix(
    "machines-1",
    ("bookworm",),
    ("qemu-system-x86", "qemu-utils", "ovmf", "lxd-agent", "gdisk", "linux-image-amd64", "systemd-boot-efi"),
    closed=True,
)
"""Closed, as it is for another machine than this; what that has already goes before what is here."""
UNNEEDED = ("share/doc", "share/man", "share/locale", "share/info", "lib/modules", "lib/systemd")
MODULES = (
    "virtio_pci virtio_scsi sd_mod virtio_blk virtio_net virtio_console vmw_vsock_virtio_transport virtiofs 9p "
    "9pnet_virtio virtio_balloon evdev button virtio_input ext4 crct10dif_generic crc32c_generic"
).split()
ESP_MIB = 64
LABEL = "machines"


def build() -> Path:
    """The disk, from the cache or built."""
    with machine_lock():
        packages.install(HERE)
        root = packages.unpacked(PROGRAMS)
    made = CACHE / f"machines-{_identity()}.raw"
    with storage._lock():
        if not made.exists():
            for old in CACHE.glob("machines-*"):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            work = CACHE / "machines-new"
            work.mkdir()
            _build(root, work, work / "disk.raw")
            (work / "disk.raw").replace(made)
            shutil.rmtree(work)
    return made


def _identity() -> str:
    parts = hashlib.sha256()
    for source in (Path(__file__), LAB_GUEST / "login-prompt", LAB_GUEST / "udhcpc", *sorted(GUEST.iterdir())):
        parts.update(source.read_bytes())
    return parts.hexdigest()[:16]


def _build(root: Path, work: Path, disk: Path) -> None:
    tree = work / "tree"
    for part in ("bin", "sbin", "lib", "usr"):  # Debian 12 has the first three in the last.
        target = tree / "usr" / ("" if part == "usr" else part)
        shutil.copytree(root / part, target, symlinks=True, dirs_exist_ok=True)
    for part in UNNEEDED:
        shutil.rmtree(tree / "usr" / part)
    _guest_disk(root, work, tree / "machine.qcow2")
    (tree / "machine.tar.gz").write_bytes(_metadata())
    with disk.open("wb") as file:
        file.truncate(1 << 30)
    run(["mkfs.ext4", "-q", "-L", LABEL, "-d", tree, "-O", "^has_journal", disk], timeout=300)


def _metadata() -> bytes:
    """The other half of the image: what LXD is told of it."""
    told = {
        "architecture": platform.machine(),
        "creation_date": 1700000000,
        "properties": {"os": "tiny", "release": "1", "description": "Tiny virtual machine"},
    }
    content = json.dumps(told).encode()  # JSON is YAML
    entry = tarfile.TarInfo("metadata.yaml")
    entry.size = len(content)
    target = io.BytesIO()
    with gzip.GzipFile(fileobj=target, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def _guest_disk(root: Path, work: Path, disk: Path) -> None:
    """A disk with one partition, which has the one file that the firmware looks for."""
    started, raw = work / "BOOTX64.EFI", work / "guest.raw"
    _unified_kernel(root, work, started)
    with raw.open("wb") as file:
        file.truncate(ESP_MIB << 20)
    run(["sgdisk", "--clear", "--new=1:2048:0", "--typecode=1:ef00", raw])
    run(["mkfs.vfat", "-n", "ESP", "--offset", "2048", raw, str((ESP_MIB - 2) << 10)])
    run(["mmd", "-i", f"{raw}@@1M", "::/EFI", "::/EFI/BOOT"])
    run(["mcopy", "-i", f"{raw}@@1M", started, "::/EFI/BOOT/BOOTX64.EFI"])
    run(["qemu-img", "convert", "-O", "qcow2", raw, disk])


def _unified_kernel(root: Path, work: Path, target: Path) -> None:
    """systemd's stub with a kernel, its command line, and its first files (systemd-stub(7))."""
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    _first_files(root, kernel.name.removeprefix("vmlinuz-"), work)
    (work / "cmdline").write_text("console=ttyS0 mitigations=off nokaslr tsc=reliable quiet rdinit=/init")
    (work / "osrel").write_text("ID=tiny\n")
    sections = {".osrel": (work / "osrel", "0x20000"), ".cmdline": (work / "cmdline", "0x30000")}
    sections |= {".linux": (kernel, "0x2000000"), ".initrd": (work / "initrd", "0x4000000")}
    words = ["objcopy"]
    for section, (file, address) in sections.items():
        words += ["--add-section", f"{section}={file}", "--change-section-vma", f"{section}={address}"]
    run([*words, root / "usr/lib/systemd/boot/efi/linuxx64.efi.stub", target])


def _first_files(root: Path, version: str, work: Path) -> None:
    """The guest's file system, which stays in its memory."""
    tree = work / "first"
    for name in ("bin", "sbin", "etc", "lib/modules", "dev", "proc", "sys", "run", "tmp", "root", "mnt", "var/log"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/usr/bin/busybox", tree / "bin/busybox")
    (tree / "bin/sh").symlink_to("busybox")
    for source, path in ((GUEST / "init", "init"), (LAB_GUEST / "login-prompt", "sbin/login-prompt")):
        shutil.copy(source, tree / path)
        (tree / path).chmod(0o755)
    shutil.copy(LAB_GUEST / "udhcpc", tree / "etc/udhcpc")
    (tree / "etc/udhcpc").chmod(0o755)
    if not (root / f"lib/modules/{version}/modules.dep").exists():
        run(["depmod", "--basedir", root, version], timeout=120)
    order: list[str] = []
    for module in MODULES:
        words = ["modprobe", "--show-depends", "--dirname", str(root), "--set-version", version, module]
        for file in (Path(line.split()[1]) for line in run(words).splitlines() if line.startswith("insmod")):
            if file.name not in order:
                shutil.copy(file, tree / "lib/modules")
                order.append(file.name)
    (tree / "lib/modules/order").write_text("\n".join(order) + "\n")
    listed = "\n".join(sorted(str(path.relative_to(tree)) for path in tree.rglob("*")))
    pack = ["cpio", "--create", "--format=newc", "--quiet", f"--directory={tree}"]
    packed = subprocess.run(pack, input=listed.encode(), capture_output=True, check=True, timeout=120)
    (work / "initrd").write_bytes(gzip.compress(packed.stdout, compresslevel=1))
