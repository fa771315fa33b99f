# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Cinder, OpenStack's volume service: the attachments of a volume. The only import of openstacksdk, and that only where
a task names a cloud.

Attachments are those of its API from 3.27 on, and completed as from 3.44 on (cinder/api/v3/attachments.py): reserved by
a volume's and an instance's id, connected by what Cinder calls the connector of a host, completed, deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .errors import MissingLibrary, NotFound, OperationFailed, Refused

ENVIRONMENT = "envvars"
"""What openstacksdk calls the cloud that the environment describes."""
NOT_DATA = ("driver_volume_type", "attachment_id", "status")
"""What the connection of an attachment, which is flat, has besides the data for os-brick
(nova/volume/cinder.py _translate_attachment_ref)."""
NEEDED = "3.44"
LIBRARIES = ("keystoneauth", "openstack", "stevedore")
"""Whose logs nobody reads."""


class Cinder:
    """The attachments of a cloud's volumes. ``cloud``: its name in ``clouds.yaml``, or ``envvars``."""

    def __init__(self, cloud: str) -> None:
        try:
            import openstack
            from keystoneauth1 import exceptions as keystone
            from openstack import exceptions, utils
        except ImportError as error:
            raise MissingLibrary(
                f"the Python library openstacksdk is needed where this module runs, for cinder: {error}"
            ) from None
        for library in LIBRARIES:
            # What they warn of would be on the standard error of a module.
            logging.getLogger(library).addHandler(logging.NullHandler())
        self._cloud = cloud
        self._errors = (exceptions.SDKException, keystone.ClientException)
        self._gone = exceptions.NotFoundException
        self._wrong = (exceptions.ConfigException, keystone.MissingRequiredOptions, keystone.NoMatchingPlugin)
        with self._failing("be reached"):
            self._volumes: Any = openstack.connect(cloud=cloud).block_storage
            new = utils.supports_microversion(self._volumes, NEEDED)
        if not new:
            raise Refused(f"{self._name}: its API is older than {NEEDED}, which completes attachments", option="cinder")

    def find(self, volume: str, instance: str) -> list[str]:
        """The attachments of a volume to an instance that are reserved only: those that are connected may be another
        host's, as while an instance moves."""
        with self._failing(f"list the attachments of {volume}"):
            found = self._volumes.attachments(details=True, volume_id=volume, instance_id=instance)
            return [one.id for one in found if one.instance == instance and not one.connection_info]

    def reserve(self, volume: str, instance: str, readonly: bool) -> str:
        """A new attachment, which keeps the volume for the instance."""
        with self._failing(f"attach {volume}"):
            mode = {"mode": "ro"} if readonly else {}
            return str(self._volumes.create_attachment(volume, instance=instance, **mode).id)

    def connect(self, attachment: str, connector: Mapping[str, Any]) -> dict[str, Any]:
        """Export the volume to a host; the connection, as initialize_connection returned it. Again where it is."""
        with self._failing(f"connect attachment {attachment}"):
            found = self._volumes.get_attachment(attachment).connection_info
            if not found:
                found = self._volumes.update_attachment(attachment, connector=dict(connector)).connection_info
        if not (found or {}).get("driver_volume_type"):
            raise OperationFailed(f"{self._name}: attachment {attachment} has no connection")
        data = {key: value for key, value in found.items() if key not in NOT_DATA}
        return {"driver_volume_type": found["driver_volume_type"].lower(), "data": data}

    def complete(self, attachment: str) -> None:
        """The instance has it: the volume is in use."""
        with self._failing(f"complete attachment {attachment}"):
            self._volumes.complete_attachment(attachment)

    def release(self, attachment: str) -> None:
        """Delete an attachment; the volume is available again if it was the last."""
        try:
            with self._failing(f"delete attachment {attachment}"):
                self._volumes.delete_attachment(attachment, ignore_missing=False)
        except NotFound:
            return

    @property
    def _name(self) -> str:
        return f"cinder of cloud {self._cloud}"

    @contextmanager
    def _failing(self, verb: str) -> Iterator[None]:
        try:
            yield
        except self._wrong as error:
            raise Refused(
                f"cinder: found {self._cloud}, allowed is a cloud of clouds.yaml on this host, or {ENVIRONMENT} with "
                f"OS_AUTH_URL and the like: {error}",
                option="cinder",
                found=self._cloud,
            ) from None
        except self._gone as error:
            raise NotFound(f"{self._name} cannot {verb}: {_words(error)}") from None
        except self._errors as error:
            raise OperationFailed(f"{self._name} cannot {verb}: {_words(error)}") from None


def _words(error: Exception) -> str:
    """What the service itself says of it, where it does."""
    details = getattr(error, "details", None)
    status = getattr(error, "status_code", None)
    return f"{status}: {details}" if details and status else str(error)
