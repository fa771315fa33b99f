#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Copy the files that git knows, or would add, to a path that ansible-test accepts; build the collection; install it.
set -eu

tree=.build/ansible_collections/lxdops/compute
rm -rf .build/ansible_collections .build/collections .build/*.tar.gz
mkdir -p $tree
git ls-files --cached --others --exclude-standard --deduplicate -z |
    tar --create --null --ignore-failed-read --files-from=- | tar --extract --directory=$tree

.venv/bin/ansible-galaxy collection build $tree --output-path .build
.venv/bin/ansible-galaxy collection install .build/*.tar.gz --collections-path .build/collections --no-deps --offline
