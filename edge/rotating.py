"""The agent's part in changing a key: it is asked at a socket, and changes over between two turns.

Frames as in `edge.frames`, one question and one answer a connection:
    {"change": name, "old": place, "new": place} -> {"done": fingerprint} or {"refused": why}
    {"written": name} -> {"done": ""}: the configuration names the new key now
`name` is a meter's, "" for the node's own key; places are absolute.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.doorkeeper import Doorkeeper
from edge.errors import EdgeError, Unavailable
from edge.frames import FrameReader, encode_frame
from edge.inbound import Put, Task
from edge.measuring import Measuring
from edge.outbox import Outbox
from edge.outbox_records import Batch
from edge.posting import Posting
from edge.relaying import NodeKey
from edge.successors import Change, Successor, take_over
from keys import stores
from keys.errors import KeyFault
from messages.errors import MessageError
from messages.possession import Claim
from messages.publickey import Signer

SOCKET: Final = "keys.sock"
ANSWER_S: Final = 20.0
ASK_BYTES: Final = 65_536

log = logging.getLogger("edge.rotating")


def claim_for(node: str, name: str, network_id: bytes) -> Claim:
    """Return whom a key stands for: a meter, or "" for the node itself."""
    return Claim(network_id, "meter", name) if name else Claim(network_id, "node", node)


@dataclass(slots=True)
class Rotating:
    """Changes keys in the loop's thread. `signers`: of each meter, as they are now."""

    outbox: Outbox
    posting: Posting
    measuring: Measuring
    key: NodeKey
    signers: dict[str, Signer]

    def change(self, successor: Successor, new: Signer) -> None:
        """Let a new key sign from now on.

        Raises:
            EdgeError, KeyFault: why not; the old one goes on.
        """
        name = successor.name
        if name and name not in self.signers:
            raise Unavailable(f"the agent has no meter {name}: start it again first")
        if not self.posting.store(Batch()):
            raise Unavailable("what the old key signs waits for the disk or its token: later")
        old = self.signers[name] if name else self.key.signer
        claim = claim_for(self.key.node, name, self.key.network_id)
        take_over(self.outbox, Change(successor, claim, old, new))
        if name:
            self.signers[name] = new
            self.measuring.change_key(name, new)
        else:
            self.key.signer = new
        log.warning(
            "%s signs with %s from now on, no more with %s",
            f"meter {name}" if name else "the node",
            new.public.fingerprint,
            old.public.fingerprint,
        )

    def forget(self, name: str) -> None:
        """Forget where a key lies that the configuration names now."""
        self.outbox.note(Successor(name, "", "").fact, "")


def rotation_door(path: Path, put: Put, rotating: Rotating) -> Doorkeeper:
    """Return the thread that takes one question from each caller, and has the loop answer it."""

    def serve(link: socket.socket, stopping: threading.Event) -> None:
        try:
            asked = next(FrameReader().take(link.recv(ASK_BYTES)), {})
            link.sendall(encode_frame(_answer(asked, put, rotating)))
        except MessageError as error:
            log.warning("%s: %s", path, error)

    return Doorkeeper(path, "keys", serve)


def _answer(asked: Mapping[str, Any], put: Put, rotating: Rotating) -> dict[str, Any]:
    try:
        if "written" in asked:
            name = str(asked["written"])
            _in_loop(put, lambda: rotating.forget(name))
            return {"done": ""}
        successor = Successor(*(str(asked.get(word, "")) for word in ("change", "old", "new")))
        new = stores.open_signer(successor.new_place)
        _in_loop(put, lambda: rotating.change(successor, new))
    except (EdgeError, KeyFault) as error:
        return {"refused": str(error)}
    return {"done": new.public.fingerprint}


def _in_loop(put: Put, work: Any) -> None:
    """Have the loop's thread do something, and wait until it did; raises what that raised."""
    outcome: queue.Queue[Exception | None] = queue.Queue(1)

    def run() -> None:
        try:
            work()
        except (EdgeError, KeyFault) as error:
            outcome.put(error)
        else:
            outcome.put(None)

    put(Task(run))
    try:
        error = outcome.get(timeout=ANSWER_S)
    except queue.Empty:
        raise Unavailable("the agent did not come to it in time: ask again") from None
    if error is not None:
        raise error


def ask_agent(state: Path, frame: dict[str, Any]) -> str | None:
    """Ask the agent of a state folder; return what it says, None if none is there.

    Raises:
        Unavailable: it refused, or went away meanwhile.
    """
    path = state / SOCKET
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(ANSWER_S * 2)
            try:
                link.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            link.sendall(encode_frame(frame))
            answer: dict[str, Any] = next(FrameReader().take(link.recv(ASK_BYTES)), {})
    except (OSError, MessageError) as error:
        raise Unavailable(f"{path}: {error}: the agent went away; run this again") from None
    if "refused" in answer:
        raise Unavailable(f"the agent refused: {answer['refused']}")
    if "done" not in answer:
        raise Unavailable(f"{path}: the agent went away; run this again")
    return str(answer["done"])
