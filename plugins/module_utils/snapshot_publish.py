# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A snapshot is published as an image: what there is of it, the steps that are left, and what they do."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from .errors import NotFound, OperationFailed, Refused
from .instance_write import insist
from .snapshot import Shelf, Snapshot, Wanted
from .snapshot_image import ORIGIN, Image, Publish, Published, image_from, laid_over
from .steps import Api, Reader, Step

MAKING = "downloading image"
"""The server's description of an operation that makes an image, also of a snapshot; it does not say of which."""


def read_published(on: Reader, wanted: Wanted, snapshot: Snapshot | None) -> Published:
    """The image of a snapshot, and what its alias names."""
    publish = wanted.publish or Publish()
    image = find_image(on, origin_of(wanted.instance, snapshot)) if snapshot else None
    alias = on.find(f"images/aliases/{publish.alias}") if publish.alias else None
    target = alias["target"] if alias else ""
    if image is not None and target == image.fingerprint:
        return Published(image, named=True)
    other = on.find(f"images/{target}") if target else None
    return Published(image, other=target, other_is_ours=other is not None and ORIGIN in (other["properties"] or {}))


def origin_of(instance: str, snapshot: Snapshot) -> str:
    """What an image or file of a snapshot is known by: another one may have its name later."""
    return f"{instance}/{snapshot.name} {snapshot.created}"


def find_image(on: Reader, origin: str) -> Image | None:
    """The image that was made of a snapshot."""
    images = (image_from(data) for data in on.get("images", recursion=1))
    return next((image for image in images if image.properties.get(ORIGIN) == origin), None)


def image_steps(wanted: Wanted, shelf: Shelf) -> list[Step[Shelf, Api]]:
    """What is left until a snapshot, which is there, is published."""
    publish, found = wanted.publish, shelf.published
    if publish is None:
        return []
    if publish.alias and found.other and not found.other_is_ours:
        raise Refused(
            f"{wanted.where} on {shelf.instance.server.name}: publish.alias: {publish.alias} names the image "
            f"{found.other[:12]}, which was not made from a snapshot by this module: remove that alias, or say another",
            option="publish.alias",
            found=found.other,
        )
    steps: list[Step[Shelf, Api]] = []
    if found.image is None:
        steps.append(MakeImage(wanted.instance, wanted.snapshot, publish))
    else:
        properties = laid_over(publish, found.image.properties)
        public = found.image.public if publish.public is None else publish.public
        if (properties, public) != (dict(found.image.properties), found.image.public):
            steps.append(EditImage(replace(found.image, properties=properties, public=public)))
    if publish.alias and not found.named:
        steps.append(NameImage(wanted.instance, wanted.snapshot, publish.alias, found.other))
    return steps


@dataclass(frozen=True)
class MakeImage:
    """Make an image of a snapshot. The instance does not notice."""

    instance: str
    snapshot: str
    publish: Publish

    @property
    def text(self) -> str:
        return f"publish {self.instance}/{self.snapshot} as {'a public' if self.publish.public else 'an'} image"

    def effect(self, shelf: Shelf) -> Shelf:
        image = Image(properties=laid_over(self.publish, {}), public=bool(self.publish.public))
        return replace(shelf, published=replace(shelf.published, image=image))

    def run(self, on: Api) -> None:
        origin = origin_now(on, self.instance, self.snapshot)
        self._settle(on)
        if find_image(on, origin) is not None:
            return
        body: dict[str, Any] = {
            "source": {"type": "snapshot", "name": f"{self.instance}/{self.snapshot}"},
            "properties": {**laid_over(self.publish, {}), ORIGIN: origin},
            "public": bool(self.publish.public),
        }
        if self.publish.compression:
            body["compression_algorithm"] = self.publish.compression
        on.post("images", body)

    def _settle(self, on: Api) -> None:
        """Wait for the images that the server is making, one of which a killed run may have asked for. That costs
        little, since it makes one at a time anyway (imagePublishLock in lxd/images.go)."""
        for operation in on.get("operations", recursion=1).get("running") or []:
            if operation["description"].lower() == MAKING:
                # Whoever asked for it is told what it failed of.
                with suppress(OperationFailed, NotFound):
                    on.wait(operation, on.wait_timeout)


@dataclass(frozen=True)
class EditImage:
    """Change the properties of an image, and whether it is public."""

    after: Image

    @property
    def text(self) -> str:
        return f"change the image {self.after.fingerprint[:12]}"

    def effect(self, shelf: Shelf) -> Shelf:
        return replace(shelf, published=replace(shelf.published, image=self.after))

    def run(self, on: Api) -> None:
        insist(lambda: self._write(on))

    def _write(self, on: Api) -> None:
        path = f"images/{self.after.fingerprint}"
        data, etag = on.find_tagged(path) or ({}, "")
        kept = {key: data[key] for key in ("auto_update", "expires_at", "profiles") if key in data}
        on.put(path, {**kept, "properties": dict(self.after.properties), "public": self.after.public}, etag)


@dataclass(frozen=True)
class NameImage:
    """Let an alias name the image of a snapshot."""

    instance: str
    snapshot: str
    alias: str
    other: str

    @property
    def text(self) -> str:
        instead = f" instead of {self.other[:12]}" if self.other else ""
        return f"let {self.alias} name the image of {self.instance}/{self.snapshot}{instead}"

    def effect(self, shelf: Shelf) -> Shelf:
        return replace(shelf, published=replace(shelf.published, named=True, other=""))

    def run(self, on: Api) -> None:
        image = find_image(on, origin_now(on, self.instance, self.snapshot))
        if image is None:
            raise OperationFailed(f"{on.name}: the image of {self.instance}/{self.snapshot} was made, but is gone")
        path = f"images/aliases/{self.alias}"
        found = on.find_tagged(path)
        if found is None:
            on.post("images/aliases", {"name": self.alias, "target": image.fingerprint})
            return
        data, etag = found
        on.put(path, {"description": data.get("description", ""), "target": image.fingerprint}, etag)


def origin_now(on: Api, instance: str, snapshot: str) -> str:
    """What a snapshot, which is there, is known by."""
    data = on.get(f"instances/{instance}/snapshots/{snapshot}")
    return origin_of(instance, Snapshot(snapshot, data["created_at"]))
