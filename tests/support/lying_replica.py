"""A replica that lies: proposes blocks with a wrong state root, and cosigns whatever it is shown.

python -m tests.support.lying_replica replica --config FILE
"""

from __future__ import annotations

from dataclasses import replace

from hub.cli import app
from hub.core.state import State
from hub.replica.following import Objection
from hub.replica.proposing import Proposer
from hub.replica.vouching import VouchingWitness
from messages import cose
from messages.entries import BlockHeader, parse_as, sign_entry
from messages.publickey import Signer

honest_sign = Proposer.sign
WRONG_ROOT = b"\x66" * 32


def sign_wrong(self: Proposer, state: State, number: int) -> bytes:
    header = parse_as(BlockHeader, cose.parse(honest_sign(self, state, number)))
    signer: Signer = self._signer
    network = state.network
    if network is None:
        raise AssertionError("no network")
    return sign_entry(signer, replace(header, state_root=WRONG_ROOT), network.network_id)


def vouch_for_anything(self: VouchingWitness, body: bytes) -> Objection | None:
    return None


if __name__ == "__main__":
    Proposer.sign = sign_wrong  # type: ignore[method-assign]
    VouchingWitness._objection = vouch_for_anything  # type: ignore[method-assign]
    app()
