"""A hub asked from a member's own machine: requests signed here, answers opened and checked here.

The hub is not believed: a record is checked against its id, which is the hash of the entry that
committed to it, a sealed reading against its entry, and entries by a proof under the log's key.
"""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from member.errors import HubAway, HubRefused
from messages import cbor, cose
from messages.asking import NONCE_BYTES, Ask, format_ask
from messages.entries import Call, parse_as, sign_entry
from messages.errors import BadProof, MalformedMessage
from messages.log.note import parse_vkey
from messages.log.proof import check_proof, parse_proof
from messages.log.tree import leaf_hash
from messages.publickey import Signer
from messages.records import READINGS_BYTES_MAX, Opened, open_readings, unlock, unwrap
from messages.trust import Trust

TIMEOUT_S: Final = 15.0
ANSWER_WAIT_S: Final = 60.0
LOOK_EVERY_S: Final = 0.2
ANSWER_BYTES_MAX: Final = READINGS_BYTES_MAX + (1 << 20)
SLOTS_VALID: Final = 2
CALL_ID_BYTES: Final = 16
RECORDS: Final = "records"
CASES: Final = "cases"
TOO_EARLY: Final = 425

Value = int | str | bytes | bool


@dataclass(frozen=True, slots=True)
class Served:
    """A request that was served: its id, and what the contract answered; bytes are in hex."""

    call_id: bytes
    answer: Mapping[str, Any]


class HubClient:
    """One hub, and the member whose key signs. For one thread."""

    def __init__(self, url: str, signer: Signer, trust: Trust) -> None:
        """Take where the hub's web process is; ValueError if that is no address."""
        self._parts = urlsplit(url)
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise ValueError(f"{url!r}: want an address such as http://127.0.0.1:8088")
        self.signer = signer
        self._trust = trust

    @property
    def network_id(self) -> bytes:
        """The network that everything signed is bound to."""
        return self._trust.network_id

    def record(self, record_id: bytes, case: str = "") -> bytes:
        """Ask for a record and return its content.

        Raises:
            HubRefused, HubAway: no grant, or no hub.
            BadProof: what came is not what the ledger commits to.
        """
        own = X25519PrivateKey.generate()
        call_id = self.ask("read", {"record": record_id, **_for_reader(own, case)}).call_id
        answer, entry, ciphertext = self._answer(call_id)
        if leaf_hash(entry) != record_id:
            raise BadProof("the hub gave the entry of another record")
        put = parse_as(Call, cose.parse(entry))
        commitment = put.arguments.get("commitment")
        if not isinstance(commitment, bytes):
            raise BadProof("the entry puts no record")
        digest = cose.parse(commitment).payload
        return unlock(ciphertext, unwrap(answer, record_id, own), digest)

    def readings(self, meter: str, from_ms: int, until_ms: int, case: str = "") -> list[Opened]:
        """Ask for what a meter's sealed readings say; each is proven to stand in the log.

        Raises:
            HubRefused, HubAway: no grant, or no hub.
            BadProof: what came is not what the ledger has.
        """
        own = X25519PrivateKey.generate()
        span: dict[str, Value] = {"meter": meter, "from_ms": from_ms, "until_ms": until_ms}
        call_id = self.ask("unseal", {**span, **_for_reader(own, case)}).call_id
        found = open_readings(self._answer(call_id)[0], call_id, own)
        log_key = parse_vkey(self._trust.log_vkey)
        for each in found:
            proof = parse_proof(self._get(f"/proof/{each.index}.tlog-proof").decode())
            check_proof(proof, leaf_hash(each.entry), log_key)
        return found

    def ask(self, method: str, arguments: Mapping[str, Value], contract: str = RECORDS) -> Served:
        """Sign a request, hand it in, wait until it was served.

        Raises:
            HubRefused, HubAway: it was not; the text says why.
        """
        clock = self._json("GET", "/api/v1/clock")
        until_ms = int(clock["next_slot_ms"]) + SLOTS_VALID * int(clock["slot_ms"])
        call_id = secrets.token_bytes(CALL_ID_BYTES)
        call = Call(call_id, until_ms, contract, method, dict(arguments))
        raw = sign_entry(self.signer, call, self.network_id)
        became = self.hand_in(raw, call_id)
        if became["reason"]:
            raise HubRefused(str(became["reason"]))
        return Served(call_id, became["answer"])

    def hand_in(self, raw: bytes, call_id: bytes) -> Mapping[str, Any]:
        """Hand in a signed call and wait; return its `reason`, "" if it was served, and `answer`.

        The same bytes may be handed in again, and count once.

        Raises:
            HubRefused, HubAway: it is not known what became of it.
        """
        self._send("POST", "/api/v1/requests", raw)
        path = f"/api/v1/requests/{call_id.hex()}"
        deadline_s = time.monotonic() + ANSWER_WAIT_S
        while True:
            became: Mapping[str, Any] = json.loads(self._get(path))
            if became["state"] != "waiting":
                return became
            self._pause(deadline_s, "the request waits in the hub's inbox, and may still be served")

    def view(self, name: str = "picture") -> Any:
        """Return a view of /api/v1 as the member may see it."""
        return json.loads(self._get(f"/api/v1/{name}"))

    def _answer(self, call_id: bytes) -> tuple[bytes, bytes, bytes]:
        path = f"/api/v1/answers/{call_id.hex()}"
        deadline_s = time.monotonic() + ANSWER_WAIT_S
        while True:
            status, body = self._exchange("GET", path, b"")
            if status == http.client.OK:
                break
            if status != TOO_EARLY:
                raise HubRefused(_reason(body))
            self._pause(deadline_s, "the request is on the ledger and not final yet")
        parts = cbor.decode(body, limit=ANSWER_BYTES_MAX)
        if not isinstance(parts, list) or [type(part) for part in parts] != [bytes] * 3:
            raise MalformedMessage("an answer has three parts, all bytes")
        return parts[0], parts[1], parts[2]

    def _pause(self, deadline_s: float, why: str) -> None:
        if time.monotonic() > deadline_s:
            raise HubAway(f"no answer within {ANSWER_WAIT_S:.0f} s: {why}")
        time.sleep(LOOK_EVERY_S)

    def _json(self, method: str, path: str) -> Any:
        return json.loads(self._send(method, path, b""))

    def _get(self, path: str) -> bytes:
        return self._send("GET", path, b"")

    def _send(self, method: str, path: str, body: bytes) -> bytes:
        status, answer = self._exchange(method, path, body)
        if status >= http.client.BAD_REQUEST:
            raise HubRefused(f"{path}: {_reason(answer)}")
        return answer

    def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        ask = Ask(path, time.time_ns() // 1_000_000, secrets.token_bytes(NONCE_BYTES))
        headers = {"Authorization": format_ask(self.signer, self.network_id, ask)}
        host, port = self._parts.hostname or "", self._parts.port
        connection: http.client.HTTPConnection
        if self._parts.scheme == "https":
            tls = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=tls)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        try:
            connection.request(method, self._parts.path.rstrip("/") + path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(ANSWER_BYTES_MAX)
        except (OSError, http.client.HTTPException) as error:
            raise HubAway(f"{self._parts.geturl()}: {type(error).__name__}: {error}") from None
        finally:
            connection.close()


def _for_reader(own: X25519PrivateKey, case: str) -> dict[str, Value]:
    found: dict[str, Value] = {"reply_key": own.public_key().public_bytes_raw()}
    return found | ({"case": case} if case else {})


def _reason(body: bytes) -> str:
    """Return the sentence in an answer that is an error."""
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", errors="replace")
