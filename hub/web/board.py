"""Asks the fault switchboard of a simulation: one JSON line to its Unix socket, one line back."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, Final

from hub.errors import BoardAway

ANSWER_S: Final = 60.0  # it answers between two instants, and one of them may wait for a dead node
ANSWER_BYTES_MAX: Final = 1_000_000
CHUNK_BYTES: Final = 65_536


def ask(path: Path, request: dict[str, Any], within_s: float = ANSWER_S) -> dict[str, Any]:
    """Return the switchboard's answer.

    Raises:
        BoardAway: nobody answers there.
    """
    received = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(within_s)
            link.connect(str(path))
            link.sendall(json.dumps(request).encode() + b"\n")
            while not received.endswith(b"\n") and len(received) < ANSWER_BYTES_MAX:
                chunk = link.recv(CHUNK_BYTES)
                if not chunk:
                    break
                received += chunk
        answer = json.loads(received)
    except (OSError, ValueError) as error:
        raise BoardAway(f"no demo answers at {path}: {error}") from None
    if not isinstance(answer, dict):
        raise BoardAway(f"what answers at {path} is no switchboard")
    return answer
