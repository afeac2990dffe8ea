"""An audit believes the signatures and the rules, and names the first thing that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hub.auditing import place as places
from hub.auditing.audit import Inputs, Report, audit
from hub.auditing.place import Keeper, check_still_there
from hub.balancing.dep import Dep
from hub.balancing.policy import View, view_root
from hub.bookkeeping import rows_of
from hub.core.state import State
from hub.core.step import step
from hub.errors import LedgerError
from hub.ledger.books import TABLES, BookRow, LineRow, SlotRow
from hub.ledger.crew import Crew
from hub.market.contract import SUPPLIER
from messages.entries import Close, Decision, Gap, KeyEntry, Output
from messages.log.tree import leaf_hash, root
from messages.reading import Reading
from tests.support.bench import house, view
from tests.support.signers import ed25519
from tests.support.village import HOUR, KWH, Village, relay


def books_of(village: Village) -> list[BookRow]:
    """The books as the hub keeps them: the newest row of each key."""
    state = State()
    rows: dict[tuple[Any, ...], BookRow] = {}
    for entry in village.entries:
        outcome = step(state, entry.event, village.contracts)
        state.apply(outcome.changes)
        for row in rows_of(entry.event, outcome.effects):
            names = [column.name for column in TABLES[type(row)].primary_key]
            rows[type(row), *(getattr(row, name) for name in names)] = row
    return list(rows.values())


VIEW = view(house("bob", 20, {"heater": 60}))


def decision(shown: View, **changes: Any) -> Decision:
    verdict = Dep().decide(shown)
    outputs = tuple(
        Output(o.node, o.relay, o.member, o.load, o.energised, o.cut, o.power_mw)
        for o in verdict.orders
    )
    made = Decision(0, "dep", b"", view_root(shown), "supply", "dep", verdict.reason, outputs)
    return replace(made, **changes)


def begin() -> Village:
    village = Village(signed=True, parameters={"deficit": "supplier"}, code_id=b"rules")
    village.meter("ann-pv", "ann", "generation")
    village.meter("bob-load", "bob", "consumption")
    village.node("pi", (relay("heater", "bob"),))
    village.read("ann-pv", 0, exported=0)
    village.read("bob-load", 0, imported=0)
    return village


@dataclass(frozen=True)
class Ledger:
    """A ledger with everything in it, and its books."""

    village: Village
    books: tuple[BookRow, ...]

    @property
    def raws(self) -> list[bytes]:
        return [entry.raw for entry in self.village.entries]


def write() -> Village:
    village = begin()
    village.put(village.hub, decision(VIEW))
    village.ack("heater", 5, energised=True)
    for slot in range(3):
        village.read("ann-pv", slot + 1, exported=(slot + 1) * 4 * KWH)
        if slot != 1:
            village.read("bob-load", slot + 1, imported=(slot + 1) * 6 * KWH)
        village.close(slot, "timeout")
        village.header()
    village.ack("heater", 3 * HOUR, energised=False)
    village.calibrate("bob-load", 12_000)
    village.put(village.hub, Gap(ed25519("ann-pv").public.kid, "register", 5, 6, "dead letter"))
    village.sequences["ann-pv"] = 6
    village.read("ann-pv", 4, exported=17 * KWH)
    village.put(village.hub, Gap(ed25519("pi").public.cose_key, "event", 4, 4, "dead letter"))
    village.put(village.hub, Gap(b"?", "telemetry", 9, 8, "packs are off the log"))
    return village


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    village = write()
    return Ledger(village, tuple(books_of(village)))


def numbered(raws: Iterable[bytes]) -> list[tuple[int, bytes]]:
    return list(enumerate(raws))


def test_a_right_ledger(ledger: Ledger) -> None:
    report = audit(numbered(ledger.raws), books=ledger.books)
    assert report.difference == ""
    assert report.is_right
    state = ledger.village.state
    assert report == Report(
        entries=len(ledger.raws),
        slots=3,
        failed_slots=0,
        corrections=1,
        headers=3,
        decisions_repeated=0,
        lines=report.lines,
        settlement_sum_utok=0,
        root=root([leaf_hash(raw) for raw in ledger.raws]),
        state_root=state.root(),
        bills_utok=dict(sorted(state.accounts.items())),
        difference="",
        notes=(),
    )
    assert report.lines > 0
    assert report.bills_utok["ann"] > 0 > report.bills_utok["bob"]


def test_an_audit_needs_no_books(ledger: Ledger) -> None:
    assert audit(numbered(ledger.raws)).is_right
    assert audit([]).difference == ""


def test_decisions_are_made_again_where_their_views_are_kept(ledger: Ledger) -> None:
    inputs = Inputs(views={view_root(VIEW): VIEW.dumps()}.get)
    report = audit(numbered(ledger.raws), inputs, ledger.books)
    assert (report.difference, report.decisions_repeated) == ("", 1)


def test_other_rules_are_noted(ledger: Ledger) -> None:
    village = begin()
    village.policy(code_id=b"older")
    village.close(0)
    village.header()
    report = audit(numbered(e.raw for e in village.entries), Inputs(code_id=b"newer"))
    assert report.is_right
    assert report.notes == ("block 0 was settled by other rules than this program's",)
    for slot in (1, 2):
        village.close(slot)
        village.header()
    report = audit(numbered(e.raw for e in village.entries), Inputs(code_id=b"newer"))
    assert report.notes == ("3 blocks, 0 to 2, were settled by other rules than this program's",)


def test_a_replica_that_lied_is_noted_and_every_bill_still_right() -> None:
    village = begin()
    village.replica("ann")
    slot = 0
    while not village.state.draw.order:
        village.close(slot, "timeout")
        village.header()
        slot += 1
    village.close(slot, "timeout")
    village.propose("ann", state_root=b"x" * 32)
    village.header()
    report = audit(numbered(entry.raw for entry in village.entries))
    assert report.is_right
    (note,) = report.notes
    assert "the replica of ann signed block" in note
    assert report.headers == slot + 1


def test_entries_without_effect_are_noted(ledger: Ledger) -> None:
    village = begin()
    for _ in range(60):
        village.put(village.hub, Close(1, "complete", (), 0))
    report = audit(numbered(entry.raw for entry in village.entries))
    assert report.is_right
    assert report.notes[0] == (
        f"entry {len(village.entries) - 60} (close) had no effect: 1 is no slot's start"
    )
    assert (len(report.notes), report.notes[-1]) == (51, "and 10 more like these")


# --- what is wrong --------------------------------------------------------------------------


def test_every_flipped_byte_is_found(ledger: Ledger) -> None:
    for index, raw in enumerate(ledger.raws):
        for place in range(index % 11, len(raw), 61):
            broken = bytearray(raw)
            broken[place] ^= 0x10
            raws = [*ledger.raws[:index], bytes(broken), *ledger.raws[index + 1 :]]
            report = audit(numbered(raws))
            assert not report.is_right
            assert report.difference.startswith("entry")


def test_a_missing_entry_is_found(ledger: Ledger) -> None:
    for index in range(len(ledger.raws) - 1):
        entries = numbered(ledger.raws)
        del entries[index]
        assert audit(entries).difference == (
            f"entry {index} is missing: the next one there is {index + 1}"
        )


def wrong(village: Village, **inputs: Any) -> str:
    return audit(numbered(entry.raw for entry in village.entries), Inputs(**inputs)).difference


def test_a_stranger_and_a_forger() -> None:
    village = begin()
    at = len(village.entries)
    village.put(ed25519("stranger"), Close(0, "complete", (), 0))
    kid = ed25519("stranger").public.kid.hex()
    assert wrong(village) == f"entry {at}: nobody has registered the key {kid}"
    assert "nobody has registered" in audit([(0, village.entries[1].raw)]).difference


def test_an_entry_of_another_network() -> None:
    village = begin()
    at = len(village.entries)
    village.network_id = b"x" * 32
    village.close(0)
    assert wrong(village) == (f"entry {at}: the signature does not verify under the registered key")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda v: v.put(ed25519("ann-pv"), Reading("village", "ann-pv", 1, HOUR, None, 5)),
            "register 1 of meter ann-pv, where 2 had to come",
        ),
        (
            lambda v: v.put(ed25519("ann-pv"), Reading("village", "ann-pv", 3, HOUR, None, 5)),
            "register 3 of meter ann-pv, where 2 had to come",
        ),
        (
            lambda v: v.put(v.hub, Gap(ed25519("ann-pv").public.kid, "register", 3, 4, "")),
            "register 3 of meter ann-pv, where 2 had to come",
        ),
        (
            lambda v: v.put(v.hub, Gap(ed25519("ann-pv").public.thumbprint, "register", 2, 1, "")),
            "register 2 of meter ann-pv, where 2 had to come",
        ),
        (
            lambda v: v.put(v.hub, Gap(b"?", "event", 2, 2, "")),
            "event 2 of , where 1 had to come",
        ),
    ],
)
def test_streams_stand_in_order_and_once(spoil: Callable[[Village], Any], sentence: str) -> None:
    village = begin()
    spoil(village)
    assert wrong(village) == f"entry {len(village.entries) - 1}: {sentence}"


def test_first_sequences_and_new_keys_are_heeded() -> None:
    village = begin()
    key = ed25519("new").public.cose_key
    entry = KeyEntry("enrol", "meter", "new", key, "pi", "ann", "generation", first_sequence=41)
    village.put(village.administrator, entry)
    village.put(ed25519("new"), Reading("village", "new", 41, HOUR, None, 5))
    assert wrong(village) == ""
    village.put(ed25519("new"), Reading("village", "new", 41, 2 * HOUR, None, 5))
    assert wrong(village).endswith("register 41 of meter new, where 42 had to come")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"log_root": b"x" * 32}, "block header 0 has another log root"),
        ({"state_root": b"x" * 32}, "the hub signed block 0 with the state root 7878"),
    ],
)
def test_headers_that_lie(changes: dict[str, bytes], sentence: str) -> None:
    village = begin()
    village.close(0)
    assert len(village.entries) == 8
    village.header(**changes)
    assert wrong(village).startswith(f"entry 8: {sentence}")


def test_a_header_that_covers_no_close_is_only_noted() -> None:
    village = begin()
    village.close(0)
    village.header(end_index=3)
    report = audit(numbered(entry.raw for entry in village.entries))
    assert report.is_right
    assert "the header covers entries up to 3" in report.notes[0]


@pytest.mark.parametrize(
    ("changes", "kept", "sentence"),
    [
        ({}, b"\xf6", "the decision's view is unreadable"),
        ({}, replace(VIEW, at_ms=9).dumps(), "the view that is kept is not the one decided on"),
        (
            {"outputs": (Output("pi", "heater", "bob", "", False, False, 60_000),)},
            VIEW.dumps(),
            "dep orders otherwise for pi/heater on the view that is kept",
        ),
        (
            {"outputs": (Output("pi", "oven", "bob", "", True, True, 60_000),)},
            VIEW.dumps(),
            "dep orders otherwise for pi/oven on the view that is kept",
        ),
    ],
)
def test_decisions_that_do_not_follow(changes: dict[str, Any], kept: bytes, sentence: str) -> None:
    village = begin()
    at = len(village.entries)
    village.put(village.hub, decision(VIEW, **changes))
    found = wrong(village, views={view_root(VIEW): kept}.get)
    assert found.startswith(f"entry {at}: {sentence}")
    assert wrong(village) == ""


def test_a_policy_that_is_not_installed_cannot_be_repeated() -> None:
    village = begin()
    village.put(village.hub, decision(VIEW, policy="gone"))
    assert wrong(village, views={view_root(VIEW): VIEW.dumps()}.get) == ""


# --- the books ------------------------------------------------------------------------------


def spoiled(ledger: Ledger, kind: type[BookRow], **changes: Any) -> str:
    books = list(ledger.books)
    place = next(n for n, row in enumerate(books) if isinstance(row, kind))
    books[place] = books[place]._replace(**changes)
    return audit(numbered(ledger.raws), books=books).difference


def test_a_wrong_bill_is_named(ledger: Ledger) -> None:
    difference = spoiled(ledger, LineRow, amount_utok=-1)
    assert difference.startswith("the books say LineRow(slot_ms=0, number=0, member='ann'")
    assert "amount_utok=-1" in difference
    assert "the entries give LineRow(slot_ms=0, number=0, member='ann', kind='sale'" in difference
    assert spoiled(ledger, SlotRow, matched_uwh=1).startswith("the books say SlotRow(")


def test_a_row_too_many_and_one_too_few(ledger: Ledger) -> None:
    extra = LineRow(0, 999, "eve", "sale", SUPPLIER, 1, 1, 1, "metered", 0)
    report = audit(numbered(ledger.raws), books=[*ledger.books, extra])
    assert report.difference.startswith("the books have a row that no entry explains: LineRow(")
    report = audit(numbered(ledger.raws), books=ledger.books[1:])
    assert report.difference.startswith("the books lack 1 rows, the first one is ")


def test_rows_of_one_entry_never_share_a_key() -> None:
    """A close that corrects two meters of one slot writes all its lines."""
    village = begin()
    village.close(0, "timeout")
    for meter_id, total in (("ann-pv", {"exported": 8 * KWH}), ("bob-load", {"imported": 6 * KWH})):
        village.read(meter_id, 2, **total)
    village.close(1)
    lines = [row for row in books_of(village) if isinstance(row, LineRow)]
    corrected = [row for row in lines if row.kind == "correction"]
    assert len(corrected) == 4
    assert sum(row.amount_utok for row in lines) == 0
    assert audit(numbered(e.raw for e in village.entries), books=books_of(village)).is_right


def _mapping(rows: Iterable[BookRow]) -> Mapping[str, int]:
    totals: dict[str, int] = {}
    for row in rows:
        if isinstance(row, LineRow):
            totals[row.member] = totals.get(row.member, 0) + row.amount_utok
    return totals


def test_bills_are_the_sums_of_the_books(ledger: Ledger) -> None:
    bills = audit(numbered(ledger.raws)).bills_utok
    assert _mapping(ledger.books) == dict(bills)


# --- on other processors, and in parts -------------------------------------------------------


def test_other_processors_find_the_same(ledger: Ledger) -> None:
    with Crew(2, worth_it=1) as crew:
        report = audit(numbered(ledger.raws), books=ledger.books, crew=crew)
    assert report == audit(numbered(ledger.raws), books=ledger.books)


def test_a_forged_entry_is_named_whoever_checks(ledger: Ledger) -> None:
    at = next(n for n, entry in enumerate(ledger.village.entries) if n > 12)
    raws = list(ledger.raws)
    raws[at] = raws[at][:-1] + bytes((raws[at][-1] ^ 1,))
    with Crew(2, worth_it=1) as crew:
        report = audit(numbered(raws), crew=crew)
    sentence = "the signature does not verify under the registered key"
    assert report.difference == f"entry {at}: {sentence}"


def kept(ledger: Ledger, path: Path, stop: int, subject: bytes = b"this") -> Keeper:
    """An audit that keeps its place after each entry and is killed before `stop`."""
    keeper = Keeper(path, subject, every_s=0)

    def entries() -> Iterator[tuple[int, bytes]]:
        yield from numbered(ledger.raws[:stop])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(entries(), books=ledger.books, keeper=keeper)
    return Keeper(path, subject, every_s=0)


@pytest.mark.parametrize("stop", [1, 6, 14, 20])
def test_a_killed_audit_goes_on_where_it_stood(ledger: Ledger, tmp_path: Path, stop: int) -> None:
    keeper = kept(ledger, tmp_path / "audit.progress", stop)
    standing = keeper.resume()
    assert standing is not None
    assert standing.place.size == stop
    check_still_there(standing.place, ledger.raws[:stop])
    rest = numbered(ledger.raws)[stop:]
    report = audit(rest, books=ledger.books, keeper=keeper, standing=standing)
    assert report == audit(numbered(ledger.raws), books=ledger.books)
    keeper.forget()
    assert keeper.resume() is None


def test_a_place_that_was_cut_off_is_the_one_before(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "audit.progress"
    kept(ledger, path, 9)
    path.write_bytes(path.read_bytes()[:-5])
    standing = Keeper(path, b"this").resume()
    assert standing is not None
    assert standing.place.size == 8


def test_an_audit_goes_on_only_over_the_same_entries_and_rules(
    ledger: Ledger, tmp_path: Path
) -> None:
    keeper = kept(ledger, tmp_path / "audit.progress", 9)
    with pytest.raises(LedgerError, match="another ledger, or by other rules"):
        Keeper(keeper.path, b"that").resume()
    standing = keeper.resume()
    assert standing is not None
    with pytest.raises(LedgerError, match="an entry was changed since"):
        check_still_there(standing.place, [b"x", *ledger.raws[1:9]])


def test_a_place_is_kept_now_and_then(ledger: Ledger, tmp_path: Path) -> None:
    now_s = [0.0]
    keeper = Keeper(tmp_path / "p", b"this", every_s=30, clock_s=lambda: now_s[0])
    assert not keeper.is_due()
    now_s[0] = 30.0
    audit(numbered(ledger.raws[:3]), keeper=keeper)
    assert keeper.path.exists()
    assert not keeper.is_due()
    assert keeper.path.stat().st_mode & 0o077 == 0


def test_an_audit_goes_on_where_its_place_cannot_be_kept(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper(tmp_path / "gone" / "p", b"this", every_s=0)
    assert audit(numbered(ledger.raws), keeper=keeper).is_right
    assert [record.message for record in caplog.records if "no --resume" in record.message]
    assert not keeper.is_due()


def test_many_rows_are_kept_before_they_weigh_on_memory(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "ROWS_WAITING_MAX", 1)
    keeper = Keeper(tmp_path / "p", b"this", clock_s=lambda: 0.0)
    assert not keeper.is_due(0)
    assert audit(numbered(ledger.raws), books=ledger.books, keeper=keeper).is_right
    standing = keeper.resume()
    assert standing is not None
    assert len(list(standing.rows)) > 1
