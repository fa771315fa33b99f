#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The first process of a lab host. It is started in the host's network namespace and gives itself a control group, a
# host name, mounts and process numbers of its own, then sleeps: the daemon joins its namespaces, and when it is killed
# the kernel ends everything in them and drops their mounts.
#
# From the environment: HOST_NAME, HOST_DIR (state on the machine), GROUP (control group, relative to a hierarchy),
# HIERARCHIES (below /sys/fs/cgroup; "." alone for the unified layout), OVERLAY (a prefix laid over /usr, or empty),
# ALIASES (directories of other hosts that lead to this one's data in here).
set -eu

case $1 in
enter)
    for hierarchy in $HIERARCHIES; do echo $$ > "/sys/fs/cgroup/$hierarchy/$GROUP/cgroup.procs"; done
    exec unshare --cgroup --uts sh "$0" leave
    ;;
leave)
    # Processes must not sit in a group whose children have controllers; LXC takes /init.scope to mean "/".
    for hierarchy in $HIERARCHIES; do
        group="/sys/fs/cgroup/$hierarchy/$GROUP"
        echo $$ > "$group/init.scope/cgroup.procs"
        if [ "$HIERARCHIES" = . ]; then
            for controller in $(cat "$group/cgroup.controllers"); do
                echo "+$controller" > "$group/cgroup.subtree_control"
            done
        fi
    done
    hostname "$HOST_NAME"
    exec unshare --mount --propagation slave --pid --fork --kill-child sh "$0" hold
    ;;
hold)
    mount -t proc proc /proc
    # A sysfs of this network namespace, else the daemon sees the machine's links.
    mount --rbind /sys "$HOST_DIR/sys"
    umount --lazy --recursive /sys
    mount -t sysfs sysfs /sys
    if mountpoint -q "$HOST_DIR/sys/kernel/security"; then
        mount --bind "$HOST_DIR/sys/kernel/security" /sys/kernel/security
    fi
    if [ "$HIERARCHIES" != . ]; then mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup; fi
    for hierarchy in $HIERARCHIES; do
        # Beside the old hierarchies the unified one controls next to nothing, and CRIU fails where LXC uses it.
        if [ "$hierarchy" = unified ]; then continue; fi
        mkdir -p "/sys/fs/cgroup/$hierarchy"
        mount --bind "$HOST_DIR/sys/fs/cgroup/$hierarchy/$GROUP" "/sys/fs/cgroup/$hierarchy"
    done
    umount --lazy --recursive "$HOST_DIR/sys"
    if [ -n "$OVERLAY" ]; then mount -t overlay -o "ro,lowerdir=$OVERLAY/usr:/usr" overlay /usr; fi
    mount -t tmpfs -o size=8g,mode=711 lab "$HOST_DIR/data"
    # CRIU looks for a container's mounts where they were on the host that saved it; real hosts have the same paths.
    for alias in $ALIASES; do
        mkdir -p "$alias"
        mount -t tmpfs -o size=4k,mode=711 alias "$alias"
        ln -s "$HOST_DIR/data" "$alias/data"
    done
    echo ready
    exec > /dev/null
    # The signal is ignored, so the kernel itself reaps the orphans that end up here (a trap in dash does not do it).
    exec env --ignore-signal=CHLD sleep infinity
    ;;
esac
