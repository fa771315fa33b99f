# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the host: a websocket client that is not the collection's. `talk.py SESSION SAY WANTED`: with the session in a
file, as lxd_console writes it, say something, in hexadecimal, a few times, until what is wanted is heard; print all
that was.
"""

import json
import select
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ws4py.client import WebSocketBaseClient

ROUNDS, PAUSE = 20, 3.0


class Client(WebSocketBaseClient):  # type: ignore[misc]
    """One of the channels of a session."""

    heard = b""

    def received_message(self, message: Any) -> None:
        self.heard += bytes(message.data)


def channel(session: Any, name: str) -> Client:
    """One of a session's websockets."""
    client = Client(f"ws+unix://{session['socket']}", exclude_headers=["origin"])
    client.sock.settimeout(60)
    client.resource = f"{urlsplit(session['url']).path}?secret={session['secrets'][name]}"
    client.connect()
    return client


def main(file: str, say: str, wanted: str) -> None:
    """Say it, and print what is heard."""
    session = json.loads(Path(file).read_text())
    control = channel(session, "control")
    data = channel(session, "data")
    for _round in range(ROUNDS):
        data.send(bytes.fromhex(say), binary=True)
        while bytes.fromhex(wanted) not in data.heard and select.select([data.sock], [], [], PAUSE)[0]:
            if not data.once():
                break
        if bytes.fromhex(wanted) in data.heard or data.terminated:
            break
    with suppress(OSError):
        data.close()
    data.close_connection()
    with suppress(OSError):
        control.close()
    control.close_connection()
    print(data.heard.hex())


if __name__ == "__main__":
    main(*sys.argv[1:])
