#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run every static check but ansible-test's; all of them run, then the stage fails if one did.
set -u
# ansible-lint resolves the modules that playbooks name in the checkout itself.
export ANSIBLE_COLLECTIONS_PATH="$PWD/.build/checkout"

failed=
check() {
    echo "--- $1"
    shift
    "$@" || failed="$failed
  $*"
}

modules=.build/checkout/ansible_collections/lxdops/compute
check "ruff" ruff check .
check "format" ruff format --check .
check "types of the collection" mypy $modules/plugins
check "types of the tests" mypy tests
check "shell scripts" shellcheck --severity=warning tests/*/*.sh
check "ansible-lint" ansible-lint
check "changelog fragments" antsibull-changelog lint
check "licence headers" reuse lint --lines

[ -z "$failed" ] || { echo "Failed:$failed"; exit 1; }
