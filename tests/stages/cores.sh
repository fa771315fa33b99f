#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run the unit tests, and the integration tests marked `smoke`, on the other supported versions of ansible-core.
set -eu

echo "ansible-core $(.venv/bin/python -c 'import ansible.release as r; print(r.__version__)'): the main environment, which the other stages use"
for requirements in tests/requirements/core-*.txt; do
    name=$(basename "$requirements" .txt)
    code=0
    environment=$(python3 tests/stages/environment.py "$name") || code=$?
    case $code in
    0) ;;
    3) echo "--- $name: NOT RUN, no Python $(sed -n 's/^# python: //p' "$requirements" | sed 's/ / or /g') was found"; continue ;;
    *) exit $code ;;
    esac
    echo "--- $name with $("$environment/bin/python" -V)"
    PATH=$environment/bin:$PATH
    ANSIBLE_COLLECTIONS_PATH="$PWD/.build/checkout" "$environment/bin/pytest" -p no:cacheprovider tests/unit
    tests/stages/as_root.sh "$environment/bin/pytest" -p no:cacheprovider -m smoke tests/integration
done
