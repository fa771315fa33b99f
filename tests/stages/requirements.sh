#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Pin what the .in files of tests/requirements allow today; the header of each pin file stays.
set -eu

for pins in tests/requirements/main.txt tests/requirements/bench.txt tests/requirements/core-*.txt; do
    echo "--- $pins"
    python=$(python3 tests/stages/environment.py --interpreter "$(basename "$pins" .txt)") || { echo "not pinned: no Python for it"; continue; }
    scratch=$(mktemp -d)
    "$python" -m venv "$scratch"
    "$scratch/bin/pip" --disable-pip-version-check install --quiet --requirement "${pins%.txt}.in"
    { grep '^#' "$pins"; "$scratch/bin/pip" freeze; } >"$scratch/pins"
    mv "$scratch/pins" "$pins"
    rm -rf "$scratch"
done
