"""A key says itself whose it will be: the proof that its private half is there and agrees.

One signature over whom the key will stand for, and in which network. It goes onto the ledger with
the entry that registers the key; who registers it face to face also asks for one over a fresh
challenge. Source: trust 4.2 and 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from messages import cbor
from messages.publickey import PublicKey, Signer

LABEL = "gridtally/possession/v1"


@dataclass(frozen=True, slots=True)
class Claim:
    """Whom a key will stand for: `holder` is meter, node or member, `name` which of them.

    `challenge` is empty in what stands on the ledger.
    """

    network_id: bytes
    holder: str
    name: str
    challenge: bytes = b""

    def signed_bytes(self, key: PublicKey) -> bytes:
        """Return what the key signs: deterministic CBOR of

        ["gridtally/possession/v1", network id, holder, name, COSE_Key, challenge]

        No message of ours begins with this text, so the signature means nothing anywhere else.
        """
        parts = [LABEL, self.network_id, self.holder, self.name, key.cose_key, self.challenge]
        return cbor.encode(parts)

    def prove(self, signer: Signer) -> bytes:
        """Return the 64 bytes with which a key agrees."""
        return signer.sign(self.signed_bytes(signer.public))

    def check(self, key: PublicKey, proof: bytes) -> None:
        """Check that a key agreed.

        Raises:
            BadSignature: it did not.
        """
        key.verify(proof, self.signed_bytes(key))
