# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""LUKS by cryptsetup: the key goes by its standard input only.

os-brick's encryptors are not used: they format whatever is not LUKS, and put a link of their own over the device.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from .block import find_disk
from .errors import OperationFailed, Refused
from .filesystem import MIB, content_of
from .host_program import run_program

KINDS = {"luks": "luks1", "luks2": "luks2"}
"""Cinder's names of them, and cryptsetup's."""
MAPPER = "/dev/mapper"
OURS = "lxdops-"
"""How the names of our mappings begin; the name of the device in LXD follows."""
NO_LUKS, NO_KEY, NOT_OPEN = 1, 2, 4
"""What cryptsetup ends with."""


def open_luks(device: str, mapping: str, kind: str, key: bytes) -> str:
    """The block device of what is in an encrypted one. Refuses what is not of the kind, and a wrong key."""
    path = f"{MAPPER}/{mapping}"
    if os.path.exists(path):
        if _lies_on(path, device):
            return path
        close_luks(mapping)  # Its device was another one, which has gone.
    if not _is(device, KINDS[kind]):
        other = next((name for name, its in KINDS.items() if _is(device, its)), "") or content_of(device)
        raise Refused(
            f"encryption.type: found {other or 'nothing: it is blank'}, the task says {kind}"
            + ("; what is there is never formatted" if other else "; say encryption.format: true to have it made"),
            option="encryption",
            found=other,
        )
    _open(device, mapping, kind, key)
    if _uuid(device) == _unfinished(mapping):
        _blank_inside(path)
        close_luks(mapping)  # The kernel knows the mapping by that uuid.
        run_program("cryptsetup", "luksUUID", "--batch-mode", "--uuid", str(uuid.uuid4()), device)
        _open(device, mapping, kind, key)
    return path


def make_luks(device: str, mapping: str, kind: str, key: bytes, cipher: str = "", key_size: int = 0) -> None:
    """Make it encrypted if it is blank. A run that is killed before what is inside is blank too has left a uuid of
    ours in the header, and the next run finishes it."""
    if content_of(device):
        return
    options = [*(("--cipher", cipher) if cipher else ()), *(("--key-size", str(key_size)) if key_size else ())]
    run_program(
        *("cryptsetup", "luksFormat", "--batch-mode", "--type", KINDS[kind], "--uuid", _unfinished(mapping)),
        *(*options, "--key-file=-", device),
        secret=key,
    )


def grow_luks(mapping: str, key: bytes) -> None:
    """Let it be as large as its device."""
    run_program("cryptsetup", "resize", "--key-file=-", mapping, secret=key)


def close_luks(mapping: str, force: bool = False) -> None:
    """Take the block device away, if there is one. ``force``: also from those who use it, whose writes fail then."""
    if not os.path.exists(f"{MAPPER}/{mapping}"):
        return
    if force:
        run_program("dmsetup", "remove", "--force", "--deferred", mapping)
    else:
        run_program("cryptsetup", "close", mapping, allowed=(0, NOT_OPEN))


def mappings(beginning: str) -> list[str]:
    """The names of LUKS mappings that begin so."""
    found = []
    for path in sorted(Path("/sys/block").glob("dm-*/dm")):
        try:
            name, kind = (path / "name").read_text().strip(), (path / "uuid").read_text()
        except OSError:
            continue  # It has gone.
        if name.startswith(beginning) and kind.startswith("CRYPT-LUKS"):
            found.append(name)
    return found


def _open(device: str, mapping: str, kind: str, key: bytes) -> None:
    words = ("cryptsetup", "open", "--type", KINDS[kind], "--key-file=-", device, mapping)
    if run_program(*words, allowed=(0, NO_KEY), secret=key).returncode == NO_KEY:
        raise Refused("encryption: the passphrase or key file does not open it", option="encryption")


def _is(device: str, kind: str) -> bool:
    return run_program("cryptsetup", "isLuks", "--type", kind, device, allowed=(0, NO_LUKS)).returncode == 0


def _uuid(device: str) -> str:
    return run_program("cryptsetup", "luksUUID", device).stdout.strip()


def _unfinished(mapping: str) -> str:
    """The uuid of a header whose volume inside is noise still."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, mapping))


def _blank_inside(path: str) -> None:
    """What was blank is noise when it is decrypted: let it be blank inside, where it is looked at."""
    inside = os.open(path, os.O_RDWR)
    try:
        end = os.lseek(inside, 0, os.SEEK_END)
        for start in (0, max(0, end - MIB)):
            os.pwrite(inside, bytes(min(MIB, end)), start)
        os.fsync(inside)
    finally:
        os.close(inside)


def _lies_on(path: str, device: str) -> bool:
    top, lower = find_disk(path), find_disk(device)
    if top is None or lower is None:
        raise OperationFailed(f"{path if top is None else device} is no block device with a size")
    found = Path(f"/sys/dev/block/{top.number}/slaves").glob("*/dev")
    return lower.number in {file.read_text().strip() for file in found}
