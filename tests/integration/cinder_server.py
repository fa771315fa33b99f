# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in of a cloud: Keystone's tokens and catalogue, and the attachments of Cinder with the rules of the real
one (cinder/api/v3/attachments.py, cinder/api/schemas/attachments.py, cinder/volume/api.py). Its volumes are block
devices of this machine.
"""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "gAAAAABtoken-of-the-stand-in"  # noqa: S105 - to be looked for
PASSWORD = "password-of-the-stand-in"  # noqa: S105 - to be looked for
CONNECTION_SECRET = "chap-secret-of-the-stand-in"  # noqa: S105 - to be looked for
PROJECT = "0123456789abcdef0123456789abcdef"
NEW_ATTACH, COMPLETION, MODE, NEWEST = (3, 27), (3, 44), (3, 54), (3, 71)


class Refused(Exception):
    """An answer that is an error, as Cinder words it."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message


@dataclass
class Volume:
    """A volume, and the block device that it is on every host."""

    device: str
    status: str = "available"
    multiattach: bool = False


@dataclass
class Cloud:
    """What the stand-in has, and what it shall do."""

    volumes: dict[str, Volume] = field(default_factory=dict)
    attachments: dict[str, dict[str, Any]] = field(default_factory=dict)
    connectors: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    newest: tuple[int, int] = NEWEST
    fails: str = ""
    """The kind of request whose driver fails: connect, delete or complete."""
    url: str = ""

    def of(self, volume: str) -> list[dict[str, Any]]:
        return [one for one in self.attachments.values() if one["volume_id"] == volume]

    def create(self, body: dict[str, Any], version: tuple[int, int]) -> dict[str, Any]:
        wanted = _only(
            body, "attachment", {"volume_uuid", "instance_uuid", "connector"} | ({"mode"} if version >= MODE else set())
        )
        volume = self.volumes.get(_uuid(wanted.get("volume_uuid")))
        if volume is None:
            raise Refused(404, "itemNotFound", f"Volume {wanted['volume_uuid']} could not be found.")
        instance = _uuid(wanted["instance_uuid"]) if "instance_uuid" in wanted else None
        if "mode" in wanted and wanted["mode"] not in ("rw", "ro"):
            raise Refused(400, "badRequest", f"Invalid input for field/attribute mode. Value: {wanted['mode']}.")
        allowed = ("available", "in-use") if volume.multiattach else ("available",)
        mine = any(one["instance"] == instance for one in self.of(wanted["volume_uuid"]))
        if volume.status not in allowed and not (instance and volume.status in ("in-use", "reserved") and mine):
            raise Refused(
                400,
                "badRequest",
                f"Invalid volume: Volume {wanted['volume_uuid']} status must be {' or '.join(allowed)} to reserve, but "
                f"the current status is {volume.status}.",
            )
        volume.status = "reserved"
        made: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "status": "reserved",
            "instance": instance,
            "connection_info": {},
        }
        made |= {
            "volume_id": wanted["volume_uuid"],
            "attached_at": "",
            "detached_at": "",
            "attach_mode": wanted.get("mode", "null"),
        }
        self.attachments[str(made["id"])] = made
        return {"attachment": made}

    def update(self, attachment: str, body: dict[str, Any]) -> dict[str, Any]:
        found = self._find(attachment)
        connector = _only(body, "attachment", {"connector"}).get("connector")
        if not isinstance(connector, dict) or not connector:
            raise Refused(400, "badRequest", "Invalid input for field/attribute connector. [] is not valid.")
        if not connector.get("host") or not (connector.get("initiator") or connector.get("ip")):
            raise Refused(
                400, "badRequest", "Invalid input received: Connector doesn't have required information: host"
            )
        volume = self.volumes[found["volume_id"]]
        others = [one for one in self.of(found["volume_id"]) if one["connection_info"]]
        if len(self.of(found["volume_id"])) > 1 and not volume.multiattach and others:
            raise Refused(409, "conflictingRequest", f"duplicate connectors detected on volume {found['volume_id']}")
        if self.fails == "connect":
            raise Refused(500, "computeFault", "Unable to update attachment (Driver initialize connection failed).")
        found["connection_info"] = {
            "driver_volume_type": "local",
            "device_path": volume.device,
            "auth_password": CONNECTION_SECRET,
            "access_mode": "rw",
            "encrypted": False,
            "qos_specs": None,
            "volume_id": found["volume_id"],
            "attachment_id": attachment,
            "enforce_multipath": False,
        }
        found["status"], volume.status = "attaching", "attaching"
        self.connectors[attachment] = connector
        return {"attachment": found}

    def complete(self, attachment: str, body: dict[str, Any]) -> None:
        found = self._find(attachment)
        if list(body) != ["os-complete"]:
            raise Refused(400, "badRequest", "There is no such action: " + ", ".join(body))
        if self.fails == "complete":
            raise Refused(500, "computeFault", "The server has either erred or is incapable of it.")
        found["status"], self.volumes[found["volume_id"]].status = "attached", "in-use"

    def delete(self, attachment: str) -> dict[str, Any]:
        found = self._find(attachment)
        if self.fails == "delete":
            raise Refused(
                409, "conflictingRequest", f"Detach volume from instance {found['instance']} using the Compute API"
            )
        del self.attachments[attachment]
        left = self.of(found["volume_id"])
        states = {"attached": "in-use", "attaching": "attaching", "reserved": "reserved"}
        self.volumes[found["volume_id"]].status = states[left[0]["status"]] if left else "available"
        return {"attachments": [self._summary(one) for one in left]}

    def list(self, query: dict[str, list[str]], detail: bool) -> dict[str, Any]:
        found = list(self.attachments.values())
        for name, key in (("volume_id", "volume_id"), ("instance_id", "instance"), ("status", "status")):
            found = [one for one in found if one[key] in query.get(name, [one[key]])]
        return {"attachments": found if detail else [self._summary(one) for one in found]}

    def show(self, attachment: str) -> dict[str, Any]:
        return {"attachment": self._find(attachment)}

    def _find(self, attachment: str) -> dict[str, Any]:
        if attachment not in self.attachments:
            raise Refused(404, "itemNotFound", f"Volume attachment could not be found with filter: id = {attachment}.")
        return self.attachments[attachment]

    def _summary(self, one: dict[str, Any]) -> dict[str, Any]:
        return {key: one[key] for key in ("id", "status", "instance", "volume_id")}


def _only(body: dict[str, Any], key: str, allowed: set[str]) -> dict[str, Any]:
    """The schemas admit nothing else."""
    if list(body) != [key] or not isinstance(body[key], dict) or set(body[key]) - allowed:
        raise Refused(
            400, "badRequest", f"Invalid input for field/attribute {key}. Additional properties are not allowed: {body}"
        )
    found: dict[str, Any] = body[key]
    return found


def _uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(value))
    except (TypeError, ValueError, AttributeError):
        raise Refused(
            400, "badRequest", f"Invalid input for field/attribute. Value: {value}. is not a 'uuid'"
        ) from None


class Server(ThreadingHTTPServer):
    """The server of a cloud."""

    def __init__(self, address: str, cloud: Cloud) -> None:
        super().__init__((address, 0), Handler)
        self.cloud = cloud


class Handler(BaseHTTPRequestHandler):
    """The two services, of the cloud that the server has."""

    protocol_version = "HTTP/1.1"

    @property
    def cloud(self) -> Cloud:
        assert isinstance(self.server, Server)
        return self.server.cloud

    def log_message(self, *_words: Any) -> None:
        """Silent."""

    def _answer(self, status: int, body: Any = None, **headers: str) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(text)),
            **headers,
        }.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(text)

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        path = urlsplit(self.path)
        parts = [part for part in path.path.split("/") if part]
        self.cloud.requests.append((self.command, path.path))
        try:
            if parts[:1] == ["identity"]:
                self._identity(parts[1:], body)
            elif parts[:1] == ["volume"]:
                self._volume(parts[1:], parse_qs(path.query), body)
            else:
                raise Refused(404, "itemNotFound", "The resource could not be found.")
        except Refused as error:
            self._answer(error.status, {error.kind: {"code": error.status, "message": error.message}})

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - names of the library

    def _identity(self, parts: list[str], body: dict[str, Any]) -> None:
        if parts in ([], ["v3"]):
            version = {
                "id": "v3.14",
                "status": "stable",
                "links": [{"rel": "self", "href": f"{self.cloud.url}/identity/v3/"}],
            }
            self._answer(200 if parts else 300, {"version": version} if parts else {"versions": {"values": [version]}})
            return
        if parts != ["v3", "auth", "tokens"] or self.command != "POST":
            raise Refused(404, "error", "Could not find it.")
        identity = body["auth"]["identity"]
        if identity["methods"] != ["password"] or identity["password"]["user"]["password"] != PASSWORD:
            self._answer(
                401,
                {
                    "error": {
                        "code": 401,
                        "message": "The request you have made requires authentication.",
                        "title": "Unauthorized",
                    }
                },
            )
            return
        endpoint = {
            "id": "e",
            "interface": "public",
            "region": "one",
            "region_id": "one",
            "url": f"{self.cloud.url}/volume/v3/{PROJECT}",
        }
        token = {
            "methods": ["password"],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "project": {"id": PROJECT, "name": "p", "domain": {"id": "default", "name": "Default"}},
            "user": {"id": "u", "name": "lxdops", "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": "r", "name": "member"}],
            "catalog": [{"type": "block-storage", "name": "cinder", "id": "c", "endpoints": [endpoint]}],
        }
        self._answer(201, {"token": token}, X_Subject_Token=TOKEN)

    def _volume(self, parts: list[str], query: dict[str, list[str]], body: dict[str, Any]) -> None:
        newest = ".".join(map(str, self.cloud.newest))
        version = {"id": "v3.0", "status": "CURRENT", "version": newest, "min_version": "3.0"}
        version["links"] = [{"rel": "self", "href": f"{self.cloud.url}/volume/v3/"}]  # type: ignore[assignment]
        if parts in ([], ["v3"]):
            self._answer(200 if parts else 300, {"versions": [version]})
            return
        if self.headers.get("X-Auth-Token") != TOKEN:
            raise Refused(401, "unauthorized", "This server could not verify that you are authorized.")
        asked = _version(self.headers.get("OpenStack-API-Version") or "")
        if asked > self.cloud.newest:
            raise Refused(406, "computeFault", f"Version {asked} is not supported by the API. Maximum is {newest}.")
        if parts[:3] != ["v3", PROJECT, "attachments"] or asked < NEW_ATTACH:
            raise Refused(404, "itemNotFound", "The resource could not be found.")
        self._attachments(parts[3:], query, body, asked)

    def _attachments(
        self, parts: list[str], query: dict[str, list[str]], body: dict[str, Any], asked: tuple[int, int]
    ) -> None:
        match [self.command, *parts]:
            case ["GET"]:
                self._answer(200, self.cloud.list(query, detail=False))
            case ["GET", "detail"]:
                self._answer(200, self.cloud.list(query, detail=True))
            case ["POST"]:
                self._answer(200, self.cloud.create(body, asked))
            case ["GET", attachment]:
                self._answer(200, self.cloud.show(attachment))
            case ["PUT", attachment]:
                self._answer(200, self.cloud.update(attachment, body))
            case ["DELETE", attachment]:
                self._answer(200, self.cloud.delete(attachment))
            case ["POST", attachment, "action"] if asked >= COMPLETION:
                self.cloud.complete(attachment, body)
                self._answer(204)
            case _:
                raise Refused(404, "itemNotFound", "The resource could not be found.")


def _version(header: str) -> tuple[int, int]:
    """What `OpenStack-API-Version: volume 3.44` asks for; without it the oldest."""
    service, _space, number = header.partition(" ")
    if service != "volume" or not number:
        return (3, 0)
    major, _dot, minor = number.partition(".")
    return int(major), int(minor)


@contextmanager
def running(cloud: Cloud, address: str) -> Iterator[None]:
    """Serve a cloud at an address of this machine."""
    server = Server(address, cloud)
    cloud.url = f"http://{address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
