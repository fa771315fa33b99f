# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of the lab's user, trusted by every host."""

import base64
import hashlib
import http.client
import json
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
    body = base64.b64encode(_client_bytes(lab)).decode()
    api.call(socket, "POST", "/1.0/certificates", {"type": "client", "name": f"lab-{lab.name}", "certificate": body})


def renew_trust(lab: Lab, socket: Path) -> None:
    """Make a daemon read anew whom it trusts: one that has just joined a cluster may have done so too early."""
    path = f"/1.0/certificates/{hashlib.sha256(_client_bytes(lab)).hexdigest()}"
    api.call(socket, "PUT", path, api.call(socket, "GET", path))


def is_trusted(lab: Lab, address: str, certificate: Path) -> bool:
    """Whether the daemon at an address, which presents a certificate, trusts the user."""
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False  # it is for the name of the first member
    context.load_cert_chain(*client_certificate(lab))
    connection = http.client.HTTPSConnection(address, 8443, timeout=30, context=context)
    try:
        connection.request("GET", "/1.0")
        return bool(json.loads(connection.getresponse().read())["metadata"]["auth"] == "trusted")
    finally:
        connection.close()


def _client_bytes(lab: Lab) -> bytes:
    return ssl.PEM_cert_to_DER_cert(client_certificate(lab)[0].read_text())
