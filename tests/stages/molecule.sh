#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run every molecule scenario, on two hosts of the lab.
set -eu
tests/stages/as_root.sh python3 tests/lab up --hosts 2 --name "$LAB_NAME"
host=/var/lib/lxdops-lab/$LAB_NAME/host1/lxd
cd extensions
exec ../tests/stages/as_root.sh env LXD_ENDPOINT="$host/unix.socket" LXD_IMAGE=tiny LXD_DIR="$host" LXD_CLIENT=lxc \
    LAB_INVENTORY="/var/lib/lxdops-lab/$LAB_NAME/inventory.yml" \
    ../.venv/bin/molecule test --all
