#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run a command as root with the environment of the stages; the lab needs network namespaces and mounts.
set -eu
[ "$(id -u)" -eq 0 ] && exec "$@"
exec sudo --set-home env PATH="$PATH" LC_ALL="${LC_ALL:-C.UTF-8}" ANSIBLE_CONFIG="${ANSIBLE_CONFIG:-}" \
    ANSIBLE_COLLECTIONS_PATH="${ANSIBLE_COLLECTIONS_PATH:-}" \
    LAB_NAME="${LAB_NAME:-}" EXECUTION="${EXECUTION:-auto}" PYTHONDONTWRITEBYTECODE=1 "$@"
