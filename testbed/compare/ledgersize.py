"""How many bytes a ledger grows by under a contract: real messages, signed and weighed.

Per slot: a register reading of each meter, the close, the block header. Per call: its entry. The
tree's hashes, indexes and telemetry packs come on top and are the same for every contract.
"""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from messages.entries import BlockHeader, Call, Close, KeyEntry, sign_entry
from messages.publickey import EDDSA, SIGNATURE_BYTES, PublicKey
from messages.reading import Reading, sign_reading
from testbed.compare.community import Community, meter_of

NETWORK = bytes(32)
HASH = bytes(32)
PROOF = bytes(80)
"""As long as an ECVRF proof of RFC 9381 on edwards25519."""


class _Scales:
    """A signer for weighing: its signatures are as long as real ones and verify nothing."""

    def __init__(self) -> None:
        key = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
        self.public = PublicKey(EDDSA, key.public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        del message
        return bytes(SIGNATURE_BYTES)


def slots_bytes(community: Community) -> int:
    """Return what readings, closes and headers of all slots weigh. [bytes]

    Weighed on the middle slot, where sequences and totals have a usual length.
    """
    middle, signer = community.slots // 2, _Scales()
    at_ms = community.at_ms(middle + 1)
    weight = len(sign_entry(signer, Close(at_ms, "complete", (), at_ms), NETWORK))
    header = BlockHeader(middle, HASH, at_ms, at_ms, HASH, HASH, HASH, HASH, HASH, PROOF, 0, at_ms)
    weight += len(sign_entry(signer, header, NETWORK))
    for household in community.households:
        reading = Reading(
            "microgrid",
            meter_of(household.member.home),
            middle,
            at_ms,
            sum(household.consumption_uwh[:middle]),
            sum(household.generation_uwh[:middle]),
        )
        weight += len(sign_reading(signer, reading))
    return weight * community.slots


def enrolment_bytes() -> int:
    """Return what a new member and his meter weigh as entries. [bytes]"""
    key = _Scales().public.cose_key
    meter = KeyEntry(
        "enrol",
        "meter",
        "home-net",
        key,
        node="node",
        member="home",
        purpose="net",
        model="sdm120",
        rated_mw=10_000_000,
    )
    entries = (meter, KeyEntry("enrol", "member", "home", key))
    return sum(len(sign_entry(_Scales(), each, NETWORK)) for each in entries)


@cache
def call_bytes(
    contract: str, method: str, arguments: tuple[tuple[str, int | str | bytes], ...]
) -> int:
    """Return what a member's call weighs as an entry. [bytes]"""
    at_ms = 1_704_067_200_000
    call = Call(bytes(16), at_ms, contract, method, dict(arguments))
    return len(sign_entry(_Scales(), call, NETWORK))
