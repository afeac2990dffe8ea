"""How the relays on buses stand, for who asks on this machine: a socket in the state folder.

As the guard does for its own, it tells whoever connects and hangs up; `edge.guardlink.look` asks.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from edge.doorkeeper import Doorkeeper
from edge.frames import encode_frame
from messages.status import RelayStatus

SOCKET: Final = "relay.sock"


def relay_door(path: Path, relays: Callable[[], tuple[RelayStatus, ...]]) -> Doorkeeper:
    """Return the thread that tells each caller how the relays stand now."""

    def tell(link: socket.socket, _: threading.Event) -> None:
        link.sendall(encode_frame({"relays": [asdict(each) for each in relays()]}))

    return Doorkeeper(path, "relays", tell)
