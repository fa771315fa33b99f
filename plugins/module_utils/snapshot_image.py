# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The image that a snapshot is published as: what it shall be, and what there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ORIGIN = "lxdops.snapshot"
"""Property of an image: ``INSTANCE/SNAPSHOT CREATED`` of the snapshot that it was made from by us."""


@dataclass(frozen=True)
class Publish:
    """What a task says of the image. A None value of ``properties`` removes one."""

    alias: str = ""
    properties: Mapping[str, str | None] = field(default_factory=dict)
    public: bool | None = None
    compression: str = ""


@dataclass(frozen=True)
class Image:
    """An image as it is. ``fingerprint`` is empty in predictions."""

    fingerprint: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    public: bool = False


@dataclass(frozen=True)
class Published:
    """The image of the snapshot, if there is one, and what the alias names now."""

    image: Image | None = None
    named: bool = False
    """Whether the alias names it."""
    other: str = ""
    """The image that the alias names else, or empty."""
    other_is_ours: bool = False
    """Whether that was made from a snapshot by us, so that the alias may go on to the next."""


def image_from(data: Mapping[str, Any]) -> Image:
    """An Image from the API's record of it."""
    return Image(data["fingerprint"], data["properties"] or {}, data["public"])


def laid_over(publish: Publish, properties: Mapping[str, str]) -> dict[str, str]:
    """The properties of an image, with those of a task laid over."""
    left = {key: value for key, value in properties.items() if key not in publish.properties}
    return {**left, **{key: value for key, value in publish.properties.items() if value is not None}}


def view_image(publish: Publish, found: Published) -> dict[str, Any] | None:
    """An image as results and diffs show it: of the properties those that the task names."""
    if found.image is None:
        return None
    return {
        "alias": publish.alias if found.named else None,
        "public": found.image.public,
        "properties": {key: found.image.properties.get(key) for key in sorted(publish.properties)},
    }
