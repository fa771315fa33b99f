# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where an LXD or Incus server is, and how to be let in: its socket, certificates, pins, trust tokens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import MissingLibrary, Refused, Unreachable
from .transport import Rejected, Transport

try:
    import requests
    from pylxd.client import get_session_for_url

    MISSING = ""
except ImportError as error:
    MISSING = str(error)

SOCKETS = (
    "/var/snap/lxd/common/lxd/unix.socket",
    "/var/lib/lxd/unix.socket",
    "/run/incus/unix.socket",
    "/var/lib/incus/unix.socket",
)

Facts = Mapping[str, Any]
"""A server's answer to ``GET /1.0``."""


@dataclass(frozen=True)
class Connection:
    """Where the server is and how to be let in. Paths are on the machine where this runs."""

    endpoint: str = ""
    client_cert: str = ""
    client_key: str = ""
    server_cert: str = ""
    server_fingerprint: str = ""
    trust_token: str = field(default="", repr=False)
    project: str = "default"
    wait_timeout: float = 300


def local_socket(environ: Mapping[str, str]) -> str:
    """The unix socket of the daemon on this machine, or where LXD_DIR, INCUS_DIR or INCUS_SOCKET say. Refuses when
    there is none, or more than one daemon."""
    if environ.get("INCUS_SOCKET"):
        return environ["INCUS_SOCKET"]
    for variable in ("LXD_DIR", "INCUS_DIR"):
        if environ.get(variable):
            return os.path.join(environ[variable], "unix.socket")
    found = {os.path.realpath(path): path for path in SOCKETS if os.path.exists(path)}
    if not found:
        raise Refused(
            f"no LXD or Incus daemon found on this machine (looked for {', '.join(SOCKETS)}): "
            "set endpoint to a socket or an https URL",
            looked_for=SOCKETS,
        )
    if len({path.split("/unix.socket")[0].rsplit("/", 1)[1] for path in found.values()}) > 1:
        raise Refused(f"more than one daemon on this machine: {', '.join(found.values())}: set endpoint to one of them")
    return next(iter(found.values()))


def _session(url: str, options: Connection) -> requests.Session:
    """A session that trusts what the options name, and not REQUESTS_CA_BUNDLE, which would override that."""
    if not url.startswith("https://"):
        session: requests.Session = get_session_for_url("http+unix://")
    else:
        for option in ("client_cert", "client_key", "server_cert"):
            path = getattr(options, option)
            if path and not os.access(path, os.R_OK):
                raise Refused(f"{option}: found no readable file {path}", option=option)
        if bool(options.client_cert) != bool(options.client_key):
            raise Refused("client_cert and client_key go together: found only one of them")
        cert = (options.client_cert, options.client_key) if options.client_cert else None
        session = get_session_for_url(url, cert=cert, verify=options.server_cert or True)
        if options.server_fingerprint:
            session.mount(url, _pinned(options.server_fingerprint))
    session.trust_env = False
    return session


def _pinned(fingerprint: str) -> requests.adapters.BaseAdapter:
    """An adapter that trusts exactly the server certificate with one SHA-256 fingerprint."""

    class Pinned(requests.adapters.HTTPAdapter):
        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
            super().cert_verify(conn, url, False, cert)  # type: ignore[no-untyped-call]
            conn.assert_fingerprint = fingerprint.replace(":", "").lower()

    return Pinned()


def let_in(options: Connection, environ: Mapping[str, str], check: bool = False) -> tuple[Transport, Facts]:
    """A server that trusts us, and what it says of itself. With a ``trust_token`` an unknown client certificate is
    added first (not in check mode)."""
    if MISSING:
        raise MissingLibrary(f"the Python library pylxd is needed where this module runs: {MISSING}")
    endpoint = options.endpoint or local_socket(environ)
    if endpoint.startswith("unix:"):
        endpoint = endpoint[len("unix:") :]
        endpoint = "/" + endpoint.lstrip("/")
    if not endpoint.startswith(("/", "https://")):
        raise Refused(
            f"endpoint: found {endpoint}, allowed are the path of a unix socket or an https:// URL", option="endpoint"
        )
    if endpoint.startswith("/") and not os.path.exists(endpoint):
        raise Unreachable(
            f"{endpoint}: there is no such socket; is the daemon running on this machine?", endpoint=endpoint
        )
    transport = Transport(_session(endpoint.rstrip("/"), options), endpoint)
    try:
        facts = _facts(transport)
        if not _trusts(facts) and options.trust_token and not check:
            _trust(transport, facts, options.trust_token)
            facts = _facts(transport)
    except requests.exceptions.RequestException as error:
        raise Unreachable(f"{endpoint}: {reason(error)}", endpoint=endpoint) from None
    except Rejected as error:
        raise Unreachable(
            f"{endpoint}: the server did not accept the client certificate: {error}", endpoint=endpoint
        ) from None
    if not _trusts(facts):
        later = " (check mode adds no certificate; run without it once)" if options.trust_token else ""
        raise Unreachable(
            f"{endpoint}: the server does not trust the client certificate {options.client_cert or '(none given)'}: "
            f"add it there, or give a trust_token{later}",
            endpoint=endpoint,
        )
    return transport, facts


def _facts(transport: Transport) -> Facts:
    facts: Facts = transport.ask("get")["metadata"]
    return facts


def _trusts(facts: Facts) -> bool:
    return bool(facts["auth"] == "trusted")


def _trust(transport: Transport, facts: Facts, token: str) -> None:
    """Add the connection's own client certificate by a trust token: LXD before explicit_trust_token takes it as the
    password."""
    # A stranger is not told which product it is; the second extension is one that only Incus has.
    explicit = {"explicit_trust_token", "dev_incus_events"} & set(facts["api_extensions"])
    body = {"type": "client", "trust_token" if explicit else "password": token}
    transport.ask("post", "certificates", json=body)


def reason(error: Exception) -> str:
    """The cause of a connection error in a line: requests and urllib3 wrap it, with addresses of their objects."""
    text = str(error)
    if "Fingerprints did not match" in text:
        return "the server's certificate is not the pinned one (server_cert or server_fingerprint)"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "the server's certificate is not signed by a known authority: set server_cert or server_fingerprint"
    inner: BaseException | None = error
    while inner:
        cause = inner
        wrapped = (getattr(cause, "reason", None), *cause.args, cause.__cause__)
        inner = next((one for one in wrapped if isinstance(one, BaseException)), None)
    return getattr(cause, "strerror", None) or str(cause) or text
