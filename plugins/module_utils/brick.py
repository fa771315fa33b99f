# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""os-brick: it makes block devices of this host out of a storage's volumes. The only import of os_brick.

Its daemon for privileges is not started: this runs as root. What it logs, and what the programs say that it runs, is
kept for the errors: it often raises no more than that no device was found.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .brick_programs import Programs
from .errors import MissingLibrary, OperationFailed, Refused
from .loop import SHARES
from .volume_secrets import hide, secrets

try:
    with warnings.catch_warnings():
        # What it imports warns of its own age, on a module's standard error.
        warnings.simplefilter("ignore")
        import os_brick
        from os_brick import exception, privileged
        from os_brick.initiator import connector
        from os_brick.privileged import rootwrap
        from oslo_concurrency import lockutils, processutils
        from oslo_config import cfg

    MISSING = ""
except ImportError as error:
    MISSING = str(error)

LOCKS = "/run/lxdops"
SAID = 3
"""How many of the last lines an error quotes, of the programs that failed and of what os-brick logged."""
SCANS = 1
"""How often an iSCSI session is searched again for a LUN: os-brick tries each portal three times besides
(_connect_single_volume), which with its own three took five minutes for a LUN that is not there."""
FC_SCANS = 10
"""How often a Fibre Channel fabric is scanned for a LUN, with two seconds between; os-brick's own three are over before
udev has named a device on a busy host, and what comes later than the error stays."""
NOTHING_YET = ("iscsiadm: No active sessions", "iscsiadm: No records found")
"""What os-brick logs of a search that found nothing, as it has to at first."""
RBD_FILE = "brickrbd_"
"""How the names of files begin that os-brick makes with a keyring, and leaves."""


class Brick:
    """os-brick on this host. A connection is what Cinder's initialize_connection returns, with `use_multipath`."""

    def __init__(self) -> None:
        if MISSING:
            raise MissingLibrary(f"the Python library os-brick is needed where this module runs: {MISSING}")
        self._ready = False
        self._programs = Programs(rootwrap.execute, processutils.ProcessExecutionError)

    def connect(self, connection: Mapping[str, Any]) -> dict[str, Any]:
        """Make the block device; what os-brick says of it, its `path` above all. Again where it is connected."""
        with self._failing("connect", connection):
            found: dict[str, Any] = self._connector(connection).connect_volume(_data(connection))
        path = found.get("path", "")
        # The kernel has the keyring by now; os-brick would want its file again, which is deleted.
        kept = {key: value for key, value in found.items() if key != "conf"}
        return {**kept, "path": path.decode() if isinstance(path, bytes) else path}

    def extend(self, connection: Mapping[str, Any]) -> None:
        """Let the host see that the volume has grown."""
        with self._failing("extend", connection):
            self._connector(connection).extend_volume(_data(connection))

    def disconnect(self, connection: Mapping[str, Any], device: Mapping[str, Any], force: bool = False) -> None:
        """Remove the block device, and the session if no other volume uses it. ``force``: what is not written yet may
        be lost."""
        with self._failing("disconnect", connection):
            self._connector(connection).disconnect_volume(
                _data(connection), dict(device) or None, force=force, ignore_errors=force
            )

    def properties(self, address: str) -> dict[str, Any]:
        """What a storage must know of this host to export a volume to it: Cinder calls it the connector."""
        with self._failing("properties", {}):
            found: dict[str, Any] = connector.get_connector_properties(
                None, address, multipath=True, enforce_multipath=False, host=socket.gethostname()
            )
        return found

    def _connector(self, connection: Mapping[str, Any]) -> Any:
        protocol = connection["driver_volume_type"]
        options: dict[str, Any] = {}
        if protocol == "rbd":
            options["do_local_attach"] = True
        elif protocol == "iscsi":
            options["device_scan_attempts"] = SCANS
        elif protocol == "fibre_channel":
            options["device_scan_attempts"] = FC_SCANS
        elif protocol == "nfs":
            options |= {"conn": connection["data"], "nfs_mount_point_base": SHARES}
        return connector.InitiatorConnector.factory(
            protocol, None, use_multipath=connection.get("use_multipath", False), execute=self._programs, **options
        )

    @contextmanager
    def _failing(self, verb: str, connection: Mapping[str, Any]) -> Iterator[None]:
        """What goes wrong in words, with what os-brick logged, and without secrets."""
        if not self._ready:
            self._set_up()
        protocol = connection.get("driver_volume_type", "")
        self._programs.begin()
        with _log() as logged, _files():
            try:
                yield
            except exception.InvalidConnectorProtocol:
                raise Refused(
                    f"connection.driver_volume_type: found {protocol}, which os-brick does not know",
                    option="connection",
                    found=protocol,
                ) from None
            except KeyError as error:
                raise Refused(
                    f"connection.data: os-brick needs {error} to {verb} a volume of type {protocol}",
                    option="connection",
                ) from None
            except (exception.BrickException, processutils.ProcessExecutionError, OSError, ValueError) as error:
                # What a program says is the cause; what os-brick says of it is less.
                lines = self._programs.said[-SAID:] or [_words(error), *list(dict.fromkeys(logged))[-SAID:]]
                words = hide("; ".join(dict.fromkeys(lines)), secrets(connection))
                raise OperationFailed(f"os-brick cannot {verb} it ({protocol}): {words}") from None

    def _set_up(self) -> None:
        os.makedirs(LOCKS, mode=0o700, exist_ok=True)
        cfg.CONF([], project="lxdops", default_config_files=[], default_config_dirs=[])
        lockutils.set_defaults(LOCKS)
        os_brick.setup(cfg.CONF)
        for context in (privileged.default, privileged.brick_privsep_hide_output):
            context.set_client_mode(False)
        self._ready = True


def _words(error: Exception) -> str:
    """What an error says; of a program's what that said, since its words may be secret."""
    if isinstance(error, processutils.ProcessExecutionError):
        return (error.stderr or error.stdout or error.description or "").strip() or f"exit code {error.exit_code}"
    return str(error).strip() or type(error).__name__


def _data(connection: Mapping[str, Any]) -> dict[str, Any]:
    """As os-brick shall have it: what is encrypted is not its business, and without the secret of a volume that was
    connected before, the node's record has it."""
    data = {**connection["data"], "encrypted": False}
    if data.get("auth_method") and "auth_password" not in data:
        del data["auth_method"]
    return data


@contextmanager
def _files() -> Iterator[None]:
    """What os-brick writes for a moment, with a keyring in it, is where only root looks, and goes."""
    before, tempfile.tempdir = tempfile.tempdir, LOCKS
    try:
        yield
    finally:
        tempfile.tempdir = before
        for name in os.listdir(LOCKS):
            if name.startswith(RBD_FILE):
                os.unlink(f"{LOCKS}/{name}")


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage().strip()
        if not any(words in line for words in NOTHING_YET):
            self.lines.append(line)


@contextmanager
def _log() -> Iterator[list[str]]:
    """What is logged meanwhile; without a handler it would be on the standard error."""
    handler = _Lines()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield handler.lines
    finally:
        root.removeHandler(handler)
