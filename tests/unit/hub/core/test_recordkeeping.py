"""Records: the owner grants and revokes, every request counts once and in time, and stays."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.effects import CallFailed, CallServed
from hub.core.state import State
from keys.file import FileSigner
from messages import cose, sealed
from messages.entries import network_aad
from tests.support.village import HOUR, Village

REPLY = bytes(range(32))
BLOB = "file:x/" + "ab" * 32


class Community:
    """A village with three members, whose first slot has closed."""

    def __init__(self) -> None:
        self.village = Village(signed=True)
        self.ann = self.village.person("ann")
        self.bob = self.village.person("bob")
        self.regulator = self.village.person("rita", "regulator")
        self.service = self.village.person("billing", "service")
        self.village.meter("m", "ann", "consumption")
        self.village.read("m", 0, imported=0)
        self.village.read("m", 1, imported=1)
        self.village.close(0)
        self.calls = 0

    def ask(self, signer: FileSigner, method: str, **arguments: Any) -> CallServed | CallFailed:
        self.calls += 1
        (effect,) = self.village.call(
            signer,
            self.calls.to_bytes(16, "big"),
            contract="records",
            method=method,
            arguments=arguments,
        )
        assert isinstance(effect, CallServed | CallFailed)
        return effect

    def commitment(self, signer: FileSigner) -> bytes:
        preimage = sealed.make_preimage(b"secret", self.calls.to_bytes(32, "big"))
        aad = network_aad(self.village.network_id)
        return sealed.sign_sealed(signer, "application/pdf", preimage, aad)

    def put(self, signer: FileSigner, **changes: Any) -> CallServed | CallFailed:
        fields = {"commitment": self.commitment(signer), "purpose": "bill", "locators": BLOB}
        return self.ask(signer, "put", **(fields | changes))

    def stored(self, signer: FileSigner, **changes: Any) -> bytes:
        record = served(self.put(signer, **changes))["record"]
        assert isinstance(record, bytes)
        return record

    def read(self, signer: FileSigner, record: bytes) -> str:
        """Return why somebody may read a record, or why not."""
        effect = self.ask(signer, "read", record=record, reply_key=REPLY)
        return effect.reason if isinstance(effect, CallFailed) else str(effect.answer["why"])


def served(effect: CallServed | CallFailed) -> dict[str, Any]:
    assert isinstance(effect, CallServed), effect
    return dict(effect.answer)


def refused(effect: CallServed | CallFailed) -> str:
    assert isinstance(effect, CallFailed)
    return effect.reason


@pytest.fixture
def here() -> Community:
    return Community()


def test_nobody_reads_without_a_grant_but_its_owner(here: Community) -> None:
    record = here.stored(here.ann)
    assert here.read(here.ann, record) == "owner"
    assert here.read(here.regulator, record).startswith("rita has no grant")
    assert here.read(here.bob, record) == "bob has no grant to this record"
    assert here.read(here.service, record).startswith("billing has no grant")


@pytest.mark.parametrize("by_purpose", [True, False])
def test_a_grant_opens_until_its_slot_and_a_revocation_ends_it(
    here: Community, by_purpose: bool
) -> None:
    record = here.stored(here.ann)
    what = "bill" if by_purpose else record.hex()
    other = here.stored(here.ann, purpose="profile")
    served(here.ask(here.ann, "grant", what=what, grantee="bob", until_slot_ms=2 * HOUR))
    assert here.read(here.bob, record) == "grant"
    assert "no grant" in here.read(here.bob, other)
    assert ("grant" if by_purpose else "no grant") in here.read(here.bob, here.stored(here.ann))
    served(here.ask(here.ann, "revoke", what=what, grantee="bob"))
    assert "no grant" in here.read(here.bob, record)
    assert "has no grant to" in refused(here.ask(here.ann, "revoke", what=what, grantee="bob"))


def test_a_grant_ends_by_itself(here: Community) -> None:
    record = here.stored(here.ann)
    here.ask(here.ann, "grant", what="bill", grantee="bob", until_slot_ms=HOUR)
    assert here.read(here.bob, record) == "grant"
    here.village.read("m", 2, imported=2)
    here.village.close(1)
    assert "no grant" in here.read(here.bob, record)
    late = here.ask(here.ann, "grant", what="bill", grantee="bob", until_slot_ms=HOUR)
    assert "would have ended" in refused(late)


def test_grants_are_the_owner_s_to_give(here: Community) -> None:
    record = here.stored(here.ann)
    for signer in (here.bob, here.regulator, here.service):
        given = here.ask(signer, "grant", what=record.hex(), grantee="bob", until_slot_ms=2 * HOUR)
        assert "has no record" in refused(given)
    assert "no grant" in here.read(here.bob, record)
    # a purpose is always one's own
    here.ask(here.bob, "grant", what="bill", grantee="bob", until_slot_ms=2 * HOUR)
    assert "no grant" in here.read(here.bob, record)


def test_a_service_puts_a_bill_for_its_owner_and_cannot_read_it(here: Community) -> None:
    record = here.stored(here.service, owner="ann")
    assert here.read(here.ann, record) == "owner"
    assert "no grant" in here.read(here.service, record)
    assert "only its owner erases" in refused(here.ask(here.service, "erase", record=record))
    assert "is put by ann" in refused(here.put(here.bob, owner="ann"))
    assert "is put by ann" in refused(here.put(here.regulator, owner="ann"))


def test_an_access_is_known_by_its_call_until_that_can_not_come_back(here: Community) -> None:
    record = here.stored(here.ann)
    here.read(here.ann, record)
    (access,) = here.village.state.accesses.values()
    assert access[:4] == (record, "ann", "owner", REPLY)
    for slot in range(1, 11):
        here.village.close(slot)
    assert here.village.state.accesses == {}
    assert here.village.state.records.keys() == {record}


def test_what_was_erased_is_gone_for_everybody(here: Community) -> None:
    record = here.stored(here.ann)
    served(here.ask(here.ann, "erase", record=record))
    for signer in (here.ann, here.regulator):
        assert here.read(signer, record) == "that record was erased"
    kept = here.village.state.records[record]
    assert kept.erased_index == len(here.village.entries) - 3


@pytest.mark.parametrize(
    ("method", "arguments", "words"),
    [
        ("put", {"purpose": "gossip"}, "no purpose 'gossip'"),
        ("put", {"owner": "nobody"}, "is put by nobody"),
        ("put", {"locators": ""}, "locators have"),
        ("put", {"locators": "file:x/../keys/log.pem"}, "locators have"),
        ("put", {"locators": "file:x/" + "AB" * 32}, "locators have"),
        ("put", {"locators": "ab" * 32}, "locators have"),
        ("put", {"locators": "x" * 999 + BLOB}, "locators have"),
        ("put", {"commitment": b"x"}, "the commitment: "),
        ("put", {"purpose": 5}, "purpose is to be str"),
        ("put", {"extra": 5}, "put takes commitment"),
        ("grant", {"what": "gossip", "grantee": "bob"}, "neither a record nor a purpose"),
        ("grant", {"what": "00" * 32, "grantee": "bob"}, "ann has no record"),
        ("grant", {"what": "bill", "grantee": "zoe"}, "no member zoe"),
        ("read", {"record": bytes(32), "reply_key": REPLY}, "no such record"),
        ("erase", {"record": bytes(32)}, "no such record"),
        ("sell", {}, "records have no method 'sell'"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    here: Community, method: str, arguments: dict[str, Any], words: str
) -> None:
    before = dict(here.village.state.records), dict(here.village.state.grants)
    effect = (
        here.put(here.ann, **arguments)
        if method == "put"
        else here.ask(here.ann, method, **arguments)
    )
    assert words in refused(effect)
    assert (here.village.state.records, here.village.state.grants) == before


def test_a_commitment_of_another_key_or_in_the_open_is_refused(here: Community) -> None:
    assert "key id" in refused(here.put(here.ann, commitment=here.commitment(here.bob)))
    reply = here.ask(here.ann, "read", record=here.stored(here.ann), reply_key=b"short")
    assert "32 bytes" in refused(reply)


def test_a_commitment_is_of_one_record_so_that_nobody_takes_another_s_key(here: Community) -> None:
    ann, copied = here.commitment(here.ann), here.commitment(here.bob)
    assert cose.parse(ann).payload == cose.parse(copied).payload
    record = here.stored(here.ann, commitment=ann)
    assert refused(here.put(here.bob, commitment=copied)) == "another record has this commitment"
    served(here.ask(here.ann, "erase", record=record))
    assert refused(here.put(here.bob, commitment=copied)) == "another record has this commitment"
    assert here.village.state.records.keys() == {record}


def test_a_request_counts_once_and_not_after_its_slot(here: Community) -> None:
    record = here.stored(here.ann)
    asked = {"contract": "records", "method": "read"}
    asked["arguments"] = {"record": record, "reply_key": REPLY}  # type: ignore[assignment]
    (first,) = here.village.call(here.ann, b"once" * 4, **asked)
    assert isinstance(first, CallServed)
    (again,) = here.village.call(here.ann, b"once" * 4, **asked)
    assert not isinstance(again, CallServed | CallFailed)
    (late,) = here.village.call(here.ann, b"late" * 4, not_after_slot_ms=0, **asked)
    assert isinstance(late, CallFailed)
    assert "too late" in late.reason


def test_a_replay_gives_the_same_records(here: Community) -> None:
    record = here.stored(here.ann)
    here.ask(here.ann, "grant", what=record.hex(), grantee="bob", until_slot_ms=2 * HOUR)
    assert here.village.replay().root() == here.village.state.root()
    restored = State.loads(here.village.state.dumps())
    assert restored.records == here.village.state.records
    assert restored.grants == here.village.state.grants
