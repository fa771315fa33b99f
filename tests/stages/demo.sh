#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Three LXD hosts on this machine; one playbook, run twice: the second run must find nothing to change.
set -eu

lab() {
    tests/stages/as_root.sh python3 tests/lab "$@" --name "$LAB_NAME"
}

play() {
    tests/stages/as_root.sh .venv/bin/ansible-playbook --inventory "/var/lib/lxdops-lab/$LAB_NAME/inventory.yml" demo/site.yml
}

echo "--- Three hosts, each a real LXD daemon in its own network namespace"
lab up --hosts 3

echo "--- First run of demo/site.yml: two instances on each host"
play

echo "--- Second run of the same playbook"
second=.build/second-run.txt
play >$second || { cat $second; exit 1; }
cat $second
if sed '1,/^PLAY RECAP/d' $second | grep --invert-match ' changed=0 ' | grep .; then
    echo "The second run changed something: this is a bug."
    exit 1
fi
echo "The second run changed nothing on any host."

for number in 1 2 3; do
    echo "--- lxc list on host $number"
    tests/stages/as_root.sh python3 tests/lab lxc --name "$LAB_NAME" $number list
done
echo "--- The lab is taken down; to keep one: python3 tests/lab up --hosts 3 --name try"
