#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run ansible-test sanity on the copied tree, with a home of its own for the environments that it makes.
set -eu

home=${XDG_CACHE_HOME:-$HOME/.cache}/lxdops-compute/ansible-test
bootstrap=$home/.ansible/test/cache
mkdir -p "$bootstrap"
# ansible-test fetches pip's installer for its environments; an installer made of the standard library's ensurepip
# serves as well, and is all that a machine without a way to that server has.
version=$(.venv/bin/python tests/stages/get_pip.py --wanted)
cp tests/stages/get_pip.py "$bootstrap/get_pip_$(echo "$version" | tr . _).py"

python=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
export XDG_CONFIG_HOME="${XDG_CONFIG_HOME:-$HOME/.config}" XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" HOME="$home"
PATH=$PWD/.venv/bin:$PATH
cd .build/ansible_collections/lxdops/compute
# Else ansible-test asks the repository of the checkout, which ignores .build.
git init --quiet --template= .
# tests/ holds programs for the test machine, which lint checks; here it is about what is shipped.
exec ansible-test sanity --python "$python" --color no --exclude tests/
