"""What people sign with commands: taken from the inbox, checked, appended or refused with a reason.

The role check is the fold's; here stand signature, form, and parameters that no contract or policy
could use. The same code serves a running hub and a command that finds none running.
"""

from __future__ import annotations

import logging
from typing import Final

from hub.core.clearing import Contracts
from hub.core.effects import WrongRoot
from hub.inbox import Inbox
from hub.ledger.records import NewEntry
from hub.policyfile import policy_fault
from hub.proposals import Proposals, told
from hub.spine import Spine
from hub.switching.dispatch import Policies
from messages import cose
from messages.entries import (
    BlockHeader,
    Call,
    KeyEntry,
    LedgerEntry,
    PolicyEntry,
    network_aad,
    parse_entry,
)
from messages.errors import MessageError
from messages.log.tree import leaf_hash
from messages.logkeeping import Quorum
from messages.membership import check_proof
from messages.publickey import parse_cose_key

ENDING: Final = ("rotate", "revoke")  # what ends a key

log = logging.getLogger("hub.desk")


class Desk:
    """Takes what waits in the inbox."""

    def __init__(
        self,
        inbox: Inbox,
        spine: Spine,
        contracts: Contracts,
        policies: Policies,
        proposals: Proposals | None = None,
    ) -> None:
        """`proposals` judges block headers; without it none is taken."""
        self._proposals = proposals
        self._inbox = inbox
        self._spine = spine
        self._contracts = contracts
        self._policies = policies

    def take(self) -> int:
        """Take all that waits, in order; return how many entries were appended.

        Raises:
            StorageFull, LedgerBehind: what was not appended keeps waiting.
        """
        taken = 0
        for spooled in self._inbox.waiting():
            reason = self.append(spooled.raw)
            if reason:
                log.warning("inbox %s was refused: %s", spooled.path.name, reason)
                self._inbox.refuse(spooled, reason)
                continue
            self._inbox.done(spooled)
            taken += 1
        return taken

    def append(self, raw: bytes) -> str:
        """Append one entry, once; return why not, or an empty text.

        A block header that lies is appended, so that the lie is on record; the text names it.
        """
        recorder = self._spine.recorder
        if recorder.holds(leaf_hash(raw)):
            return ""
        try:
            envelope = cose.parse(raw)
            key = recorder.state.keys.get(envelope.kid)
            if key is None:
                return f"signed by {envelope.kid.hex()}, which no entry has enrolled"
            aad = network_aad(self._spine.rules.network_id)
            cose.verify(envelope, parse_cose_key(key.cose_key), aad)
            body = parse_entry(envelope)
            if isinstance(body, KeyEntry):
                check_proof(body, self._spine.rules.network_id)
        except MessageError as error:
            return str(error)
        reason = self._unusable(body) or recorder.objection(raw)
        if reason:
            return reason
        entry = NewEntry(raw, leaf_hash(raw), envelope.kid, body.KIND)
        if isinstance(body, KeyEntry) and body.action in ENDING:
            self._spine.record_key(entry)
            return ""
        effects = self._spine.record([entry]).effects
        return "; ".join(told(effect) for effect in effects if isinstance(effect, WrongRoot))

    def _unusable(self, body: LedgerEntry) -> str:
        if isinstance(body, KeyEntry | Quorum | Call):
            return ""
        if isinstance(body, BlockHeader) and self._proposals is not None:
            return self._proposals.objection(body)
        if not isinstance(body, PolicyEntry):
            return f"a {body.KIND} entry does not come through the inbox"
        return policy_fault(body, self._contracts, self._policies)
