"""Why a log key is the right one: the entries that lead from genesis to it, for who has no ledger.

`trust.toml` carries them after a takeover, so that a node or a member who gets a new one sees that
an administrator of this very network ended the old log key. They are what the ledger holds:
genesis, the key entries of administrators, and every takeover, each with its signature.
"""

from __future__ import annotations

from collections.abc import Sequence

from messages import cose
from messages.entries import LABEL, Genesis, KeyEntry, network_aad, parse_entry
from messages.errors import BadSignature, MalformedMessage
from messages.keyring import KeyRing
from messages.log.tree import leaf_hash
from messages.logkeeping import Takeover
from messages.membership import check_proof


def check_lineage(raws: Sequence[bytes], network_id: bytes) -> KeyRing:
    """Return the keys that these entries lead to, the log's with what it took over.

    Raises:
        MalformedMessage: entries of another form, or of another network.
        BadSignature: one is not signed by a key that these entries establish.
    """
    ring = KeyRing()
    aad = network_aad(network_id)
    for place, raw in enumerate(raws):
        envelope = cose.parse(raw)
        body = parse_entry(envelope)
        if place == 0:
            if not isinstance(body, Genesis) or leaf_hash(raw) != network_id:
                raise MalformedMessage("a lineage begins with the genesis of its network")
            ring.found(body)
        signer = ring.signer(envelope.kid, body.KIND, "", 0)
        cose.verify(envelope, signer.key, LABEL if place == 0 else aad)
        if isinstance(body, KeyEntry):
            check_proof(body, network_id)
            ring.change(place, signer, body)
        elif isinstance(body, Takeover):
            before = ring.log_key
            ring.keep_log(body.size, signer, body)
            if ring.log_key == before:
                raise BadSignature(f"the takeover by {body.new} has no effect")
    return ring
