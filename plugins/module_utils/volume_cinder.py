# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A volume's attachments in Cinder: made before it is connected, deleted after it is disconnected, and noted in its
record before and after each, so that none is left by a run that is killed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .errors import NotFound, OperationFailed, Refused
from .volume import Attachment, Host, Volume
from .volume_record import Record
from .volume_secrets import without_secrets

BETWEEN_HOSTS = (
    "The nearest that works: state: detached, move the instance, and state: attached with cinder where it is then. "
    "After a boot, state: attached with cinder connects it again"
)
"""What to do instead of one half of a move: Cinder's attachment_update refuses a second host (cinder/volume/api.py),
and while two hosts have it nothing tells whose attachment is whose."""


@dataclass(frozen=True)
class Complete:
    """Tell Cinder that an instance has its volume, which the run that attached it did not come to."""

    wanted: Volume
    project: str

    @property
    def text(self) -> str:
        return f"complete the attachment of volume {self.wanted.id} to {self.wanted.instance} in Cinder"

    def effect(self, current: Attachment) -> Attachment:
        record = current.record
        if record is None:
            return current
        key = key_of(self.project, self.wanted.instance)
        noted = {**record.attachments, key: {**record.attachments.get(key, {}), "complete": True}}
        return replace(current, record=replace(record, attachments=noted))

    def run(self, on: Host) -> None:
        completed(on, self.wanted, self.project)


@dataclass(frozen=True)
class Relinquish:
    """Delete the attachment of an instance that no longer has a volume which others have."""

    record: Record
    project: str
    instance: str

    @property
    def text(self) -> str:
        return f"delete the attachment of volume {self.record.volume} to {self.instance} in Cinder"

    def effect(self, current: Attachment) -> Attachment:
        record = replace(self.record, attachments=_others(self.record, key_of(self.project, self.instance)))
        return replace(current, record=record)

    def run(self, on: Host) -> None:
        relinquish(on, self.record, key_of(self.project, self.instance))


def key_of(project: str, instance: str) -> str:
    """What an instance's attachment is noted by."""
    return f"{project}/{instance}"


def noted(current: Attachment) -> Mapping[str, Any]:
    """The instance's attachment, as it is noted; empty where there is none."""
    found = current.record.attachments if current.record else {}
    note: Mapping[str, Any] = found.get(key_of(current.project, current.instance.name), {})
    return note


def claimed(on: Host, wanted: Volume, project: str, record: Record) -> tuple[Volume, Record]:
    """The volume with the connection that Cinder gives for it, and the record that notes the attachment."""
    if not wanted.cinder:
        return wanted, record
    cloud, key = on.cloud(wanted.cinder), key_of(project, wanted.instance)
    uuid = on.api.get(f"instances/{wanted.instance}")["config"].get("volatile.uuid", "")
    if not uuid:
        raise OperationFailed(f"{wanted.instance} on {on.name}: the server keeps no volatile.uuid, which Cinder needs")
    note = {"id": "", "instance": uuid, "complete": False, **record.attachments.get(key, {})}
    record = _note(on, replace(record, cinder=wanted.cinder), key, note)
    if not note["id"]:
        # A run that was killed may have made one.
        for left in cloud.find(wanted.id, uuid):
            cloud.release(left)
        note = {**note, "id": cloud.reserve(wanted.id, uuid, wanted.readonly)}
        record = _note(on, record, key, note)
    connection = {**wanted.connection, **cloud.connect(note["id"], on.brick.properties(on.address))}
    if connection["data"].get("encrypted") and not connection.get("encryption"):
        raise Refused(
            f"{wanted.instance}: {wanted.id}: Cinder has it encrypted; needed is encryption, with a passphrase or key "
            "file",
            option="encryption",
        )
    if not record.path:
        record = replace(record, connection=without_secrets(connection))
        on.records.write(record)
    return replace(wanted, connection=connection), record


def completed(on: Host, wanted: Volume, project: str) -> None:
    """Let Cinder know that the instance has it."""
    record, key = on.records.find(wanted.id, wanted.device), key_of(project, wanted.instance)
    note = record.attachments.get(key, {}) if record else {}
    if record and note.get("id") and not note["complete"]:
        on.cloud(record.cinder).complete(note["id"])
        _note(on, record, key, {**note, "complete": True})


def relinquish(on: Host, record: Record, key: str) -> Record:
    """Delete an attachment that is noted, and those of the same instance that are not."""
    note = record.attachments.get(key)
    if note is None:
        return record
    cloud = on.cloud(record.cinder)
    for attachment in [note["id"]] if note["id"] else cloud.find(record.volume, note["instance"]):
        cloud.release(attachment)
    record = replace(record, attachments=_others(record, key))
    on.records.write(record)
    return record


def forget(on: Host, record: Record) -> None:
    """Forget a volume that is disconnected, in Cinder too."""
    for key in list(record.attachments):
        try:
            record = relinquish(on, record, key)
        except NotFound:
            # The volume itself has gone, and its attachments with it.
            continue
    on.records.remove(record)


def _note(on: Host, record: Record, key: str, note: Mapping[str, Any]) -> Record:
    record = replace(record, attachments={**record.attachments, key: dict(note)})
    on.records.write(record)
    return record


def _others(record: Record, key: str) -> dict[str, Any]:
    return {other: note for other, note in record.attachments.items() if other != key}
