# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options that say where the server is; the spec is module_utils/front.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the server is, and how to be let in."""

    DOCUMENTATION = r"""
options:
  endpoint:
    description:
      - Path of the daemon's unix socket, or its C(https://) URL.
      - Without it, the daemon of the machine where the module runs is found by itself, LXD or Incus, from a Debian
        package or a snap.
        E(LXD_DIR), E(INCUS_DIR) and E(INCUS_SOCKET) are respected. Two daemons on one machine are an error.
      - E(LXD_ENDPOINT) is used when the option is not set.
    type: str
  client_cert:
    description:
      - Path of the client certificate (PEM), for an C(https://) endpoint, on the machine where the module runs.
      - E(LXD_CLIENT_CERT) is used when the option is not set.
    type: path
  client_key:
    description:
      - Path of the client certificate's key (PEM).
      - E(LXD_CLIENT_KEY) is used when the option is not set.
    type: path
  server_cert:
    description:
      - Path of the server's certificate (PEM). The server must present exactly this one.
      - Without it and O(server_fingerprint) the certificate must be signed by an authority that the machine knows.
      - E(LXD_SERVER_CERT) is used when the option is not set.
    type: path
  server_fingerprint:
    description:
      - SHA-256 fingerprint of the server's certificate, as C(lxc info) shows it. The server must present a
        certificate with it.
      - E(LXD_SERVER_FINGERPRINT) is used when the option is not set.
    type: str
  trust_token:
    description:
      - Token made with C(lxc config trust add) or C(incus config trust add). When the server does not know the client
        certificate yet,
        the certificate is added with it. A token works once; it is not used when the certificate is trusted already.
      - In check mode no certificate is added.
      - E(LXD_TRUST_TOKEN) is used when the option is not set.
    type: str
  project:
    description:
      - The project of the server to work in.
      - E(LXD_PROJECT) is used when the option is not set.
    type: str
    default: default
  wait_timeout:
    description:
      - Seconds that one operation of the server, or all of the conditions to wait for together, may take.
      - An operation that is not done by then goes on in the server; the error says so, and the next run waits for it
        first.
    type: float
    default: 300
  execution:
    description:
      - Where the work is done. Options, results and errors are the same; the controller's own process saves the start
        of a module, which takes many times longer than the work.
      - V(auto) - in the controller's process when a module would run on the controller, as the same user, too (the
        connection is C(local), without C(become) and C(async)), and pylxd is installed there; else on the host.
      - V(controller) - in the controller's process, whatever the connection and C(become). The endpoint, the paths of
        certificates and E(LXD_ENDPOINT) and the like are then the controller's.
      - V(host) - as a module, on the host that the task is for.
    type: str
    choices: [auto, controller, host]
    default: auto
requirements:
  - pylxd >= 2.4.2, where the work is done
"""
