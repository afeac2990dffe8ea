"""Relay commands that no guard may obey, and somebody who delivers them in the agent's place.

Whoever holds the agent, the broker or the cable can repeat, delay, mix up and invent messages; he
has no key of the hub. The leases here that carry the hub's true signature are those that such a
person could have collected, and those that a hub with a fault could sign.
"""

import selectors
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from edge.frames import FrameReader, encode_frame
from keys.file import load
from messages import cose
from messages.entries import network_aad, sign_entry
from messages.lease import NONCE_BYTES, TTL_MS_MAX, TTL_MS_MIN, Lease
from messages.publickey import Signer
from messages.status import Beacon
from messages.trust import parse_trust
from testbed.errors import NotReady
from testbed.faults.processes import LOOK_S, boottime_ms
from testbed.installation import Installation

ALIVE_S: Final = 0.5
LISTENS_S: Final = 10.0
RECEIVE_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Hub:
    """Who may sign: the hub's own key, as the installation has it."""

    signer: Signer
    network_id: bytes

    @classmethod
    def of(cls, installation: Installation) -> "Hub":
        """Read the keys of a simulated installation."""
        trust = parse_trust((installation.folder / "trust.toml").read_text("utf-8"))
        return cls(load(installation.folder / "keys" / "hub.pem"), trust.network_id)

    def sign(self, body: object) -> bytes:
        """Return a message as the hub would send it."""
        return sign_entry(self.signer, body, self.network_id)


@dataclass(slots=True)
class FalseAgent:
    """A connection to a guard, in the place of its agent, which has to be gone."""

    path: Path
    nonces: dict[bytes, float] = field(default_factory=dict)  # -> when it was made [ms boottime]
    acks: list[dict[str, Any]] = field(default_factory=list)
    _reader: FrameReader = field(default_factory=FrameReader)
    _link: socket.socket = field(init=False)
    _spoke_s: float = 0.0

    def __enter__(self) -> "FalseAgent":
        """Connect. A socket is there a moment before its guard listens."""
        deadline_s = time.monotonic() + LISTENS_S
        while True:
            self._link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self._link.connect(str(self.path))
            except (ConnectionRefusedError, FileNotFoundError):
                self._link.close()
                if time.monotonic() > deadline_s:
                    raise NotReady(f"no guard listens at {self.path}") from None
                time.sleep(LOOK_S)
            else:
                return self

    def __exit__(self, *_reason: object) -> None:
        """Hang up; the guard leaves every contact safe."""
        self._link.close()

    def deliver(self, raw: bytes) -> None:
        """Hand over a message as the agent would hand over a lease."""
        self._link.sendall(encode_frame({"lease": raw}))

    def listen(self, seconds: float) -> None:
        """Hear the guard for a while, and say now and then that somebody is alive."""
        self.wait(lambda: False, seconds)

    def wait(self, claim: Callable[[], object], seconds: float) -> bool:
        """Hear the guard until something holds; return whether it came to that."""
        deadline_s = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._link, selectors.EVENT_READ)
            while not claim():
                now_s = time.monotonic()
                if now_s > deadline_s:
                    return False
                if now_s - self._spoke_s >= ALIVE_S:
                    self._spoke_s = now_s
                    self._link.sendall(encode_frame({"alive": True}))
                if selector.select(min(ALIVE_S, deadline_s - now_s) / 5):
                    self._hear()
        return True

    def wait_for_nonces(self, count: int, seconds: float = 10.0) -> None:
        """Wait until the guard has told so many new nonces.

        Raises:
            NotReady: it did not, so it serves nobody.
        """
        wanted = len(self.nonces) + count
        if not self.wait(lambda: len(self.nonces) >= wanted, seconds):
            raise NotReady(f"the guard at {self.path} tells no nonces")

    def _hear(self) -> None:
        received = self._link.recv(RECEIVE_BYTES)
        if not received:
            raise NotReady(f"the guard at {self.path} hung up")
        for frame in self._reader.take(received):
            if "nonce" in frame:
                self.nonces[frame["nonce"]] = float(frame["boottime_ms"])
            elif "ack" in frame:
                self.acks.append(frame["ack"])


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that must move nothing, and what is wrong with it."""

    kind: str
    raw: bytes


@dataclass(slots=True)
class Adversary:
    """Makes leases for one relay that must not be obeyed; seeded, so that a run can be repeated.

    `sequence` is that of the newest lease obeyed, `obeyed` what was obeyed in this life of the
    guard, `earlier` what was signed for one of its lives before; `nonces` are those that the guard
    told in this life, and when it made them. [ms boottime]
    """

    hub: Hub
    node: str
    relay: str
    random: Random
    nonces: Mapping[bytes, float]
    stranger: Signer
    clock_ms: Callable[[], float] = boottime_ms
    sequence: int = 0
    obeyed: list[bytes] = field(default_factory=list)
    earlier: list[bytes] = field(default_factory=list)

    def genuine(self, ttl_ms: int = TTL_MS_MIN, *, energised: bool = True) -> Lease:
        """Return the lease that the hub would sign now; the next one is above it."""
        self.sequence += 1
        return self._fresh(ttl_ms=ttl_ms, energised=energised, sequence=self.sequence)

    def deliveries(self, count: int) -> Iterator[Delivery]:
        """Yield so many hostile messages, each made for the moment when it is asked for."""
        for _ in range(count):
            makers = self._makers()  # what has grown old or was obeyed by now
            kind = self.random.choice(tuple(makers))
            yield Delivery(kind, makers[kind]())

    def _makers(self) -> dict[str, Callable[[], bytes]]:
        choice, number = self.random.choice, self.random.randint
        makers: dict[str, Callable[[], bytes]] = {
            "for another node": lambda: self._signed(node="another"),
            "for no relay of the node": lambda: self._signed(relay="another"),
            "for an invented nonce": lambda: self._signed(nonce=self.random.randbytes(NONCE_BYTES)),
            "sequence back": lambda: self._signed(sequence=number(0, self.sequence)),
            "life too long": lambda: self._signed(ttl_ms=number(TTL_MS_MAX + 1, 1 << 40)),
            "life too short": lambda: self._signed(ttl_ms=number(0, TTL_MS_MIN - 1)),
            "signed by a stranger": self._by_a_stranger,
            "signed for another network": self._for_another_network,
            "of another kind": lambda: self.hub.sign(Beacon(self._newest())),
            "one bit flipped": self._flipped,
            "cut short": lambda: (raw := self._signed())[: number(0, len(raw) - 1)],
            "noise": lambda: self.random.randbytes(number(1, 300)),
        }
        if self._over():
            makers["delayed past its life"] = lambda: self._signed(nonce=choice(self._over()))
        if self.obeyed:
            makers["replayed"] = lambda: choice(self.obeyed)
        if self.earlier:
            makers["from before the restart"] = lambda: choice(self.earlier)
        return makers

    def _fresh(self, **changes: Any) -> Lease:
        """Return a lease that would be obeyed, but for what is changed of it."""
        lease = Lease(
            self.node,
            self.relay,
            self._newest(),
            self.sequence + 1,
            TTL_MS_MIN,
            energised=True,
            reason="a hostile delivery",
            decision=0,
        )
        return replace(lease, **changes)

    def _signed(self, **changes: Any) -> bytes:
        return self.hub.sign(self._fresh(**changes))

    def _over(self) -> list[bytes]:
        """Return nonces of this guard whose shortest lease is over."""
        before_ms = self.clock_ms() - TTL_MS_MIN
        return [nonce for nonce, made_ms in self.nonces.items() if made_ms <= before_ms]

    def _newest(self) -> bytes:
        return max(self.nonces, key=lambda nonce: self.nonces[nonce])

    def _by_a_stranger(self) -> bytes:
        """Return a lease that names the hub's key and is signed by another."""
        genuine = cose.parse(self._signed())
        signed = cose.signed_bytes(
            genuine.protected, genuine.payload, network_aad(self.hub.network_id)
        )
        return genuine.raw[: -len(genuine.signature)] + self.stranger.sign(signed)

    def _for_another_network(self) -> bytes:
        other = bytes(byte ^ 0xFF for byte in self.hub.network_id)
        return sign_entry(self.hub.signer, self._fresh(), other)

    def _flipped(self) -> bytes:
        raw = bytearray(self._signed())
        raw[self.random.randrange(len(raw))] ^= 1 << self.random.randrange(8)
        return bytes(raw)
