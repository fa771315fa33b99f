# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong: the error says why, within a bounded time, and nothing is left; what was begun is ended."""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from volumes.place import CHAP_SECRET, NAME, OTHER, PASSPHRASE, Guest, Place, storage

EXT4 = {"mode": "filesystem", "path": "/srv/data", "fstype": "ext4", "format": True}


@pytest.fixture
def place(guest: Guest) -> Iterator[Place]:
    with storage(guest, "chap", "fault") as made:
        yield made


def with_data(place: Place, **data: Any) -> dict[str, Any]:
    """Its connection, but for some of its data."""
    connection = copy.deepcopy(place.connection)
    connection["data"] |= data
    return connection


WRONG: tuple[tuple[str, Mapping[str, Any], str], ...] = (
    ("secret", {"auth_password": "Wrong-secret-4711"}, "login failed due to authorization failure"),
    ("portal", {"target_portal": "127.0.0.1:3261", "target_portals": ["127.0.0.1:3261"] * 2}, "cannot be reached"),
)


@pytest.mark.parametrize(("data", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_the_error_says_why_and_nothing_is_left(place: Place, data: Mapping[str, Any], words: str) -> None:
    failed(place, words, connection=with_data(place, **data))


@pytest.mark.thorough
def test_no_such_lun_or_target(place: Place) -> None:
    luns = {"target_lun": 7, "target_luns": [7, 7]}
    failed(place, "LUN 7 on iSCSI portal 127.0.0.1:3260 not found", connection=with_data(place, **luns))
    name = "iqn.2026-01.test.lxdops:nobody"
    names = {"target_iqn": name, "target_iqns": [name, name]}
    failed(place, "iscsiadm: ", connection=with_data(place, **names))


@pytest.mark.thorough
def test_what_is_refused_leaves_nothing(place: Place) -> None:
    failed(place, "there is no such instance", instance="nobody")
    failed(place, "which os-brick does not know", connection={"driver_volume_type": "nope", "data": {}})
    failed(place, "needed are driver_volume_type and data", connection={"driver_volume_type": "iscsi"})
    failed(place, "target_", connection={"driver_volume_type": "iscsi", "data": {}})
    failed(place, "path: found /., allowed is an absolute path other than /", mode="filesystem", path="/.")
    place.guest.shell(f"lxc config device add {NAME} other disk source=/srv path=/srv/data")
    failed(place, "path: the device other has /srv/data/ already", **{**EXT4, "path": "/srv/data/"})
    place.guest.shell(f"lxc config device remove {NAME} other")
    failed(place, "needed is one of passphrase and key_file", encryption={"type": "luks2"})
    failed(place, "say encryption.format: true", encryption={"type": "luks2", "passphrase": PASSPHRASE})
    place.guest.shell(f"mkfs.ext4 -q -F /srv/volumes/{place.volume}")
    failed(place, "fstype: found ext4, the task says ext3", **{**EXT4, "fstype": "ext3"})
    encryption = {"type": "luks2", "passphrase": PASSPHRASE, "format": True}
    failed(place, "found ext4, the task says luks2; what is there is never formatted", encryption=encryption)


@pytest.mark.thorough
def test_the_wrong_key_and_kind(guest: Guest) -> None:
    with storage(guest, "luks", "wrong") as place:
        place.done()
        place.done(state="detached")
        wrong = {"type": "luks", "passphrase": "Wrong-passphrase-4711"}
        failed(place, "the passphrase or key file does not open it", encryption=wrong)
        kind = {"type": "luks2", "passphrase": PASSPHRASE, "format": True}
        failed(place, "encryption.type: found luks, the task says luks2", encryption=kind)
        guest.shell("umask 077; printf %s " + PASSPHRASE + " >/root/key")
        place.done(encryption={"type": "luks", "key_file": "/root/key"})
        place.done(state="detached")
        place.nothing_is_left()


def test_two_share_it_and_the_last_disconnects(place: Place) -> None:
    place.done(**EXT4)
    place.inside("echo kept > /srv/data/file; sync")
    refused = place.task(**EXT4, instance=OTHER)
    assert f"it is attached to {NAME}; with a filesystem that is not made for it" in refused["msg"]
    place.done(**EXT4, instance=OTHER, shared=True)
    assert place.inside("cat /srv/data/file", OTHER) == "kept\n"
    first = place.done(state="detached")
    assert first["steps"] == [f"detach volume {place.volume} from {NAME}"]
    assert place.guest.kernel() != place.before
    place.inside("sleep 600 </srv/data/file >/dev/null 2>&1 & echo $! >/tmp/pid", OTHER)
    busy = place.task(state="detached", instance=OTHER)
    assert "it is in use, and stays attached: process" in busy["msg"]
    place.inside("echo usable > /srv/data/file; sync; kill $(cat /tmp/pid)", OTHER)
    place.done(state="detached", instance=OTHER)
    place.nothing_is_left()


def test_killed_at_some_changes_the_next_run_ends_it(guest: Guest) -> None:
    with storage(guest, "luks2", "killed", encrypted=True) as place:
        assert killed(place, {"path": "/dev/data"}, 11, "after")
        place.done(path="/dev/data")
        assert not place.done(path="/dev/data")["changed"]
        assert killed(place, {"state": "detached"}, 5, "before")
        place.done(state="detached")
        place.nothing_is_left()


@pytest.mark.thorough
@pytest.mark.parametrize("protocol", ["chap", "multipath", "nvme", "fc", "nfs", "rbd", "luks2"])
def test_killed_at_each_change_the_next_run_ends_it(guest: Guest, protocol: str) -> None:
    attached, detached = {"path": "/dev/data"}, {"state": "detached"}
    with storage(guest, protocol, f"sweep-{protocol}", encrypted=protocol == "luks2") as place:
        number = leaving = 1
        attaches = detaches = True
        while attaches or detaches:
            attaches = attaches and killed(place, attached, number, "after")
            # Undone, or ended: each in turn. What is ended is there to be detached.
            if detaches and (number % 2 or not attaches):
                place.done(**attached)
                detaches = killed(place, detached, leaving, "after")
                leaving += detaches
            place.done(**detached)
            place.nothing_is_left()
            number += attaches
        assert (number > 5, leaving > 3) == (True, True), "there were no changes to be killed at"


@pytest.mark.thorough
@pytest.mark.parametrize("state", ["detached", "reconciled"])
def test_what_was_about_to_be_connected_takes_no_other_volume_with_it(place: Place, state: str) -> None:
    place.done(path="/dev/data")
    connected = place.guest.kernel()
    twin = {"volume": "twin", "path": "/dev/twin"}
    assert killed(place, twin, 1, "after")
    assert place.guest.kernel() != connected
    ended = place.done(**twin, state=state) if state == "detached" else place.run(state=state)
    assert ended
    assert ended["changed"], ended
    assert place.guest.kernel() == connected
    place.inside("echo kept | dd of=/dev/data bs=512 seek=8 conv=fsync,notrunc")
    assert place.stored(4096, 4) == b"kept"
    place.done(state="detached")
    place.nothing_is_left()


@pytest.mark.thorough
def test_killed_while_it_is_extended(guest: Guest) -> None:
    with storage(guest, "luks2", "extend", encrypted=True) as place:
        place.done(path="/dev/data")
        size, number = 64, 1
        while True:
            size += 16
            place.grow(size)
            larger = {"path": "/dev/data", "size": f"{size}MiB"}
            if not killed(place, larger, number, "after"):
                break
            place.done(**larger)
            assert not place.done(**larger)["changed"]
            number += 1
        assert number > 2, "there were no changes to be killed at"
        place.done(state="detached")
        place.nothing_is_left()


@pytest.mark.thorough
def test_a_storage_that_went_away_in_the_middle(place: Place) -> None:
    place.done(path="/dev/data")
    place.guest.shell("target cut 127.0.0.1")
    try:
        stuck = place.task(state="detached", instance=OTHER)
        assert not stuck.get("failed"), stuck["msg"]
    finally:
        place.guest.shell("target heal")
    place.inside("echo back | dd of=/dev/data bs=512 seek=8 conv=fsync,notrunc")
    assert place.stored(4096, 4) == b"back"
    place.done(state="detached")
    place.nothing_is_left()


def test_what_is_ours_and_nobodys_is_swept_and_nothing_else(place: Place) -> None:
    assert killed(place, {"path": "/dev/data"}, 8, "after")
    guest = place.guest
    guest.shell("truncate -s 32M /root/a /root/b")
    for name in ("a", "b"):
        guest.shell(
            f"cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 --key-file=- /root/{name}", "x"
        )
    guest.shell("cryptsetup open --key-file=- /root/a lxdops-vnobody", "x")
    guest.shell("cryptsetup open --key-file=- /root/b other", "x")
    found = place.info()
    assert (found["orphans"], found["leftovers"]) == ([place.volume], ["mapping lxdops-vnobody"])
    swept = place.run(state="reconciled")
    assert swept
    assert swept["changed"], swept["msg"]
    assert swept["volumes"] == {"connected": [], "orphans": [], "missing": [], "leftovers": []}
    assert "other" in guest.shell("ls /dev/mapper")
    guest.shell("cryptsetup close other")
    again = place.run(state="reconciled")
    assert again
    assert not again["changed"]
    place.nothing_is_left()


def test_secrets_are_nowhere(guest: Guest) -> None:
    with storage(guest, "luks2", "secret", encrypted=True) as place:
        guest.shell("journalctl --rotate --vacuum-size=1 >/dev/null 2>&1; rm -f /root/guest.log")
        guest.ask("watch", secrets=[CHAP_SECRET, PASSPHRASE, "planted-4711"])
        guest.shell("sleep 3 & env PLANTED=planted-4711 sleep 3; wait")
        results = [place.proved(path="/dev/data")]
        lines = having_secrets(guest)
        nodes = [line for line in lines if line.startswith("/etc/iscsi/nodes/")]
        assert nodes, "the search finds nothing at all"
        assert set(guest.shell("stat -c %a " + " ".join(nodes)).split()) == {"600"}
        assert [line for line in lines if line not in nodes] == []
        place.grow(96)
        results.append(place.proved(path="/dev/data", size="96MiB"))
        # The same device as another volume: it is refused, and stays that of the first.
        results.append(place.task(volume="another", path="/dev/other"))
        assert "is in use on this host, and stays connected" in results[-1]["msg"]
        place.inside("dd if=/dev/data of=/dev/null bs=4096 count=1")
        results.append(place.proved(state="detached"))
        seen = guest.ask("seen")["found"]
        assert [line for line in seen if "planted" in line], "the watch sees nothing at all"
        assert [line for line in seen if "planted" not in line] == []
        for text in (json.dumps(results), json.dumps(place.instance()), guest.shell("journalctl --no-pager; dmesg")):
            assert CHAP_SECRET not in text
            assert PASSPHRASE not in text
        assert having_secrets(guest) == []
        place.nothing_is_left()


def having_secrets(guest: Guest) -> list[str]:
    """The files that have one in them, by a search that does not have them in its arguments itself."""
    searched = "/var/lib/lxd /var/lib/lxdops /var/log /etc /run /tmp /root /dev/shm"
    script = f"grep -rlaF --exclude-dir=collections --file=- {searched} 2>/dev/null || true"
    return guest.shell(script, f"{CHAP_SECRET}\n{PASSPHRASE}\n").split()


def failed(place: Place, words: str, **params: Any) -> None:
    result = place.task(**params)
    assert result.get("failed"), result
    assert words in result["msg"]
    assert CHAP_SECRET not in json.dumps(result)
    place.nothing_is_left()


def killed(place: Place, params: Mapping[str, Any], number: int, when: str) -> bool:
    """Whether a run was killed at a change; False where it made fewer."""
    result = place.run(str(number), when, **place.about(params))
    if result is not None:
        assert not result.get("failed"), result["msg"]
    return result is None
