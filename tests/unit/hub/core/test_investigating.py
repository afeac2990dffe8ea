"""Cases: for a reason and a time, on one pseudonym, by one regulator; each use is counted."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.effects import CallFailed, CallServed, Ignored, OwnerTold
from hub.core.investigating import ACCESSES_MAX, CASE_MS_MAX, due_notices
from hub.core.pseudonyms import member_under, pseudonyms
from hub.core.records import Case
from hub.core.state import State
from keys.file import FileSigner
from messages import sealed
from messages.entries import network_aad
from messages.investigation import Notice
from tests.support.village import HOUR, Village, ignored

REPLY = bytes(range(32))


class Court:
    """A village with an owner, another member and two regulators; slot 0 is closed."""

    def __init__(self) -> None:
        self.village = Village(signed=True)
        self.ann, self.bob = self.village.person("ann"), self.village.person("bob")
        self.rita = self.village.person("rita", "regulator")
        self.rolf = self.village.person("rolf", "regulator")
        self.village.meter("m", "ann", "consumption")
        self.village.read("m", 0, imported=0)
        self.village.read("m", 1, imported=1)
        self.village.close(0)
        self.calls = 0
        self.subject = pseudonyms(self.village.state)["ann"]

    def ask(
        self, signer: FileSigner, method: str, contract: str = "cases", **arguments: Any
    ) -> CallServed | CallFailed | Ignored:
        self.calls += 1
        asked: dict[str, Any] = {"contract": contract, "method": method, "arguments": arguments}
        late_ms = (self.village.state.progress.next_slot_ms or 0) + 5 * HOUR
        call_id = self.calls.to_bytes(16, "big")
        (effect,) = self.village.call(signer, call_id, not_after_slot_ms=late_ms, **asked)
        assert isinstance(effect, CallServed | CallFailed | Ignored)
        return effect

    def open(self, signer: FileSigner | None = None, **changes: Any) -> str:
        """Open case tap-1 on ann for slots 1 to 5, embargo to slot 3; return why not."""
        fields: dict[str, Any] = {
            "case": "tap-1",
            "subject": self.subject,
            "reason": "the seal of her meter is broken",
            "until_slot_ms": 5 * HOUR,
            "embargo_slot_ms": 3 * HOUR,
        }
        return why(self.ask(signer or self.rita, "open", **(fields | changes)))

    def record(self, signer: FileSigner) -> bytes:
        preimage = sealed.make_preimage(b"secret", self.calls.to_bytes(32, "big"))
        aad = network_aad(self.village.network_id)
        commitment = sealed.sign_sealed(signer, "application/pdf", preimage, aad)
        place = "file:x/" + "ab" * 32
        fields = {"commitment": commitment, "purpose": "identity", "locators": place}
        effect = self.ask(signer, "put", "records", **fields)
        assert isinstance(effect, CallServed)
        record = effect.answer["record"]
        assert isinstance(record, bytes)
        return record

    def read(self, signer: FileSigner, record: bytes, case: str = "tap-1") -> str:
        return why(self.ask(signer, "read", "records", record=record, reply_key=REPLY, case=case))

    def close_slots(self, first: int, last: int) -> None:
        for slot in range(first, last + 1):
            self.village.close(slot)

    @property
    def case(self) -> Case:
        return self.village.state.cases["tap-1"]


def why(effect: CallServed | CallFailed | Ignored) -> str:
    """Return why a call was refused, "" if it was served."""
    return "" if isinstance(effect, CallServed) else effect.reason


@pytest.fixture
def court() -> Court:
    return Court()


def test_a_case_reveals_who_it_is_and_opens_his_records_each_by_an_entry(court: Court) -> None:
    record = court.record(court.ann)
    assert court.open() == ""
    effect = court.ask(court.rita, "identify", case="tap-1")
    assert isinstance(effect, CallServed)
    assert effect.answer == {"owner": "ann"}
    identified = len(court.village.entries) - 1
    assert court.read(court.rita, record) == ""
    assert court.case.accesses == (identified, identified + 1)
    (access,) = court.village.state.accesses.values()
    assert (access.member, access.why) == ("rita", "case tap-1")


def test_without_a_case_a_regulator_reads_nothing(court: Court) -> None:
    record = court.record(court.ann)
    assert "there is no case 'tap-1'" in court.read(court.rita, record)
    assert "rita has no grant" in court.read(court.rita, record, case="")


def test_only_a_regulator_has_cases(court: Court) -> None:
    assert "call case entry is signed by regulator, not by member ann" in court.open(court.ann)
    record = court.record(court.ann)
    court.open()
    assert "bob is no regulator" in court.read(court.bob, record)
    assert "ann is no regulator" in court.read(court.ann, record)  # she reads it as her own
    assert court.read(court.ann, record, case="") == ""


def test_another_regulator_s_case_and_another_owner_s_record_are_refused(court: Court) -> None:
    court.open()
    record, other = court.record(court.ann), court.record(court.bob)
    assert "is not rolf's" in court.read(court.rolf, record)
    assert "is not rolf's" in why(court.ask(court.rolf, "identify", case="tap-1"))
    assert "is not rolf's" in why(court.ask(court.rolf, "close", case="tap-1"))
    assert court.read(court.rita, other).endswith("case tap-1 is on somebody else")
    assert court.case.accesses == ()


def test_a_case_closes_by_itself_at_its_limit(court: Court) -> None:
    record = court.record(court.ann)
    court.open(until_slot_ms=2 * HOUR, embargo_slot_ms=0)
    court.close_slots(1, 1)
    assert court.read(court.rita, record) == ""  # slot 2 is its last
    court.close_slots(2, 2)
    for method in ("identify", "close"):
        assert "is over" in why(court.ask(court.rita, method, case="tap-1"))
    assert "is over" in court.read(court.rita, record)


def test_a_case_can_be_closed_before_and_its_name_is_used_once(court: Court) -> None:
    court.open()
    assert why(court.ask(court.rita, "close", case="tap-1")) == ""
    assert "is over" in court.read(court.rita, court.record(court.ann))
    assert "a name is used once" in court.open()
    assert [notice.owner for notice in due_notices(court.village.state)] == ["ann"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"embargo_slot_ms": 6 * HOUR}, "the embargo is too long"),
        ({"until_slot_ms": 0, "embargo_slot_ms": 0}, "would have ended"),
        ({"until_slot_ms": 2 * HOUR + CASE_MS_MAX}, "at most 92 days"),
        ({"subject": "ann"}, "nobody appears as 'ann'"),
        ({"subject": "m-aaaa-aaaa"}, "nobody appears"),
        ({"slot_ms": HOUR}, "nobody appears"),
        ({"reason": ""}, "a reason of 1 to"),
        ({"reason": "x" * 501}, "a reason of 1 to"),
        ({"case": "Tap 1"}, "no name of a case"),
        ({"case": 5}, "case is to be str"),
        ({"judge": "x"}, "open takes case, subject"),
    ],
)
def test_what_makes_no_sense_opens_nothing(
    court: Court, changes: dict[str, Any], words: str
) -> None:
    assert words in court.open(**changes)
    assert court.village.state.cases == {}


def test_a_pseudonym_of_one_slot_names_its_subject_too(court: Court) -> None:
    state = court.village.state
    fresh = pseudonyms(state, 4 * HOUR)["ann"]
    assert len({fresh, court.subject, pseudonyms(state, 5 * HOUR)["ann"]}) == 3
    assert member_under(state, fresh) == ""
    assert court.open(subject=fresh, slot_ms=4 * HOUR) == ""
    assert court.case.owner == "ann"


def test_the_owner_is_told_once_after_the_embargo_of_every_use(court: Court) -> None:
    court.open()
    court.read(court.rita, court.record(court.ann))
    court.close_slots(1, 1)
    assert list(due_notices(court.village.state)) == []
    early = Notice("tap-1", "ann", court.case.accesses)
    assert "nothing is to be told" in ignored(court.village.put(court.village.hub, early))
    court.close_slots(2, 2)
    (notice,) = due_notices(court.village.state)
    assert notice == Notice("tap-1", "ann", court.case.accesses)
    assert len(notice.accesses) == 1
    less = Notice("tap-1", "ann", ())
    assert "nothing is to be told" in ignored(court.village.put(court.village.hub, less))
    (effect,) = court.village.put(court.village.hub, notice)
    assert effect == OwnerTold(len(court.village.entries) - 1, "tap-1", "ann")
    assert list(due_notices(court.village.state)) == []
    assert "nothing is to be told" in ignored(court.village.put(court.village.hub, notice))
    assert court.read(court.rita, court.record(court.ann)) == ""  # it is still open


def test_without_an_embargo_the_owner_is_told_at_once(court: Court) -> None:
    court.open(embargo_slot_ms=0)
    assert [notice.case for notice in due_notices(court.village.state)] == ["tap-1"]


def test_a_case_changes_nobody_s_rows(court: Court) -> None:
    record = court.record(court.ann)
    own = ("key", "meter", "account", "record", "grant", "cursor", "policy", "memory")
    before = {name: dict(court.village.state._tables[name]) for name in own}
    court.open()
    court.read(court.rita, record)
    court.ask(court.rita, "identify", case="tap-1")
    for method, arguments in (
        ("erase", {"record": record}),
        ("grant", {"what": record.hex(), "grantee": "rita", "until_slot_ms": 4 * HOUR}),
    ):
        assert why(court.ask(court.rita, method, "records", **arguments))
    assert {name: court.village.state._tables[name] for name in own} == before


def test_a_case_is_used_so_often_and_no_more(court: Court) -> None:
    court.open()
    full = court.case._replace(accesses=tuple(range(ACCESSES_MAX)))
    court.village.state.cases["tap-1"] = full
    assert "open another one" in why(court.ask(court.rita, "identify", case="tap-1"))


def test_a_replay_and_a_snapshot_give_the_same_cases(court: Court) -> None:
    court.open()
    court.ask(court.rita, "identify", case="tap-1")
    court.close_slots(1, 5)
    (notice,) = due_notices(court.village.state)
    court.village.put(court.village.hub, notice)
    assert court.village.replay().root() == court.village.state.root()
    assert State.loads(court.village.state.dumps()).cases == court.village.state.cases
