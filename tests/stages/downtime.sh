#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Measure how long moves interrupt a guest; DOWNTIME has options for it.
set -eu
# shellcheck disable=SC2086 # words
exec tests/stages/as_root.sh .venv/bin/python tests/bench/downtime.py ${DOWNTIME:-}
