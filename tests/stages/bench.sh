#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run the benchmark, with community.general from an environment of its own; BENCH has options for it.
set -eu
environment=$(python3 tests/stages/environment.py bench)
# shellcheck disable=SC2086 # words
exec tests/stages/as_root.sh "$environment/bin/python" tests/bench ${BENCH:-}
