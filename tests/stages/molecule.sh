#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run every molecule scenario, on a host of the lab.
set -eu
tests/stages/as_root.sh python3 tests/lab up --hosts 1 --name "$LAB_NAME"
host=/var/lib/lxdops-lab/$LAB_NAME/host1/lxd
cd extensions
exec ../tests/stages/as_root.sh env LXD_ENDPOINT="$host/unix.socket" LXD_IMAGE=tiny LXD_DIR="$host" LXD_CLIENT=lxc \
    ../.venv/bin/molecule test --all
