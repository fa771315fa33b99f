# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of the lab's user, trusted by every host."""

import base64
import os
import ssl
from pathlib import Path

from . import api
from .processes import run
from .state import Lab


def client_certificate(lab: Lab) -> tuple[Path, Path]:
    """Where the user's certificate and key lie (the names that the client programs expect)."""
    return lab.client_directory / "client.crt", lab.client_directory / "client.key"


def make_client_certificate(lab: Lab) -> None:
    """A self-signed certificate; the key is readable by its owner only, from the start."""
    certificate, key = client_certificate(lab)
    key.touch(mode=0o600)
    run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1", "-sha384", "-nodes"]
        + ["-days", "365", "-subj", f"/O=lxdops-lab/CN={lab.name}", "-keyout", str(key), "-out", str(certificate)]
    )
    certificate.chmod(0o600)
    user = os.environ.get("SUDO_UID")
    if user:
        for path in (lab.client_directory, certificate, key):
            os.chown(path, int(user), -1)


def trust_client(lab: Lab, socket: Path) -> None:
    """Make a daemon trust the user."""
    certificate = client_certificate(lab)[0].read_text()
    body = base64.b64encode(ssl.PEM_cert_to_DER_cert(certificate)).decode()
    name = f"lab-{lab.name}"
    api.call(socket, "POST", "/1.0/certificates", {"type": "client", "name": name, "certificate": body})
