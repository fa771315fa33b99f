#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Make what the other stages need: Debian packages, the main virtual environment, an import path to this checkout.
set -eu

missing() {
    sed 's/#.*//' tests/requirements/debian.txt | while read -r package; do
        [ -z "$package" ] || dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2>/dev/null |
            grep --quiet --line-regexp installed || echo "$package"
    done
}

install() {
    # shellcheck disable=SC2086 # one word for each package
    tests/stages/as_root.sh env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --quiet --no-install-recommends -o DPkg::Lock::Timeout=300 $packages
}

if command -v apt-get >/dev/null; then
    packages=$(missing)
    # The lists of a fresh machine are empty, and old ones name versions that are gone: then update, once.
    [ -z "$packages" ] || install || { tests/stages/as_root.sh apt-get update --quiet && install; }
else
    echo "Not Debian: see tests/requirements/debian.txt for what must be installed."
fi

python3 tests/stages/environment.py main ||
    { echo "No Python that tests/requirements/main.txt is for was found." >&2; exit 1; }

tree=.build/checkout/ansible_collections/lxdops
mkdir -p $tree
ln -sfn ../../../.. $tree/compute
