#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run the integration tests on real daemons, with the collection as it was built and installed.
set -eu
exec tests/stages/as_root.sh .venv/bin/pytest --durations=25 -p no:cacheprovider -m "not thorough" tests/integration
