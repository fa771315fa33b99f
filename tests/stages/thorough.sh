#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run all tests, also those that repeat on another product what `make test` shows on one, or one by one
# what it shows together.
set -eu
ANSIBLE_COLLECTIONS_PATH="$PWD/.build/checkout" .venv/bin/pytest -p no:cacheprovider tests/unit
exec tests/stages/as_root.sh .venv/bin/pytest -p no:cacheprovider tests/integration tests/volumes
