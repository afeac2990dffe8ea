"""What a block header's results root commits to: one row an account, and each account's balance."""

from __future__ import annotations

from typing import Any

from hub.core.effects import CallFailed, CallServed, Line, SlotSettled
from hub.core.results import result_rows, row_leaf
from hub.market.contract import GRID
from messages import cbor
from messages.log.tree import leaf_hash
from tests.support.village import HOUR, KWH, Village

BILL = 5  # fields of a bill before its lists


def traded() -> tuple[Village, list[list[Any]]]:
    """A slot in which ann sells to bob, and carl's meter is not in."""
    village = Village()
    for meter, member in (("a", "ann"), ("b", "bob"), ("c", "carl")):
        village.meter(meter, member, "net")
        village.read(meter, 0, 0, 0)
    village.read("a", 1, 0, 5 * KWH)
    village.read("b", 1, 3 * KWH, 0)
    (settled,) = village.close(0, "timeout")
    return village, rows(village, settled)


def rows(village: Village, effect: Any) -> list[list[Any]]:
    return list(result_rows(effect, lambda account: village.state.accounts.get(account, 0)))


def test_a_slot_is_one_row_and_one_more_an_account_by_name() -> None:
    _, found = traded()
    assert [row[0] for row in found] == ["slot", *["bill"] * 4]
    assert found[0][-1] == 4
    assert [row[3] for row in found[1:]] == [GRID, "ann", "bob", "carl"]


def test_a_bill_holds_what_concerns_its_account_and_nobody_elses_lines() -> None:
    village, found = traded()
    bills = {row[3]: row for row in found[1:]}
    energies, positions, matches, remainders, curtailments, fates, lines = bills["ann"][BILL:]
    assert [row.meter_id for row in energies] == ["a"]
    assert [row.member for row in positions] == ["ann"]
    assert [(row.match.seller, row.match.buyer) for row in matches] == [("ann", "bob")]
    assert [(row.route, row.energy_uwh) for row in remainders] == [(GRID, 2 * KWH)]
    assert (curtailments, fates) == ([], [])
    assert [(line.account, line.counterparty) for line in lines] == [("ann", "bob"), ("ann", GRID)]
    assert bills["bob"][BILL + 2] == matches
    assert [len(part) for part in bills["carl"][BILL:]] == [1, 1, 0, 0, 0, 0, 0]
    assert {account: row[4] for account, row in bills.items()} == {
        account: village.state.accounts.get(account, 0) for account in bills
    }


def test_every_part_of_a_clearing_stands_on_somebodys_bill() -> None:
    village = Village()
    for meter, member in (("a", "ann"), ("b", "bob")):
        village.meter(meter, member, "net")
        village.read(meter, 0, 0, 0)
    village.meter("edge", "grid-office", "boundary")
    village.read("a", 1, 0, KWH)
    village.read("b", 1, 4 * KWH, 0)
    (settled,) = village.close(0, "timeout")
    assert isinstance(settled, SlotSettled)
    bills = rows(village, settled)[1:]
    for place, parts in enumerate(
        (
            settled.energies,
            settled.positions,
            settled.matches,
            settled.remainders,
            settled.curtailments,
            settled.fates,
            settled.lines,
        ),
        BILL,
    ):
        told = [part for bill in bills for part in bill[place]]
        assert all(part in told for part in parts)
        assert len(told) == len(parts) * (2 if place == BILL + 2 else 1)


def test_a_call_is_told_apart_from_the_money_that_it_moved() -> None:
    village = Village()
    lines = tuple(
        Line(account, "transfer", other, 0, 0, amount, "fee")
        for account, other, amount in (("bob", "ann", 5), ("ann", "bob", -5))
    )
    served = CallServed(7, b"id", "ann", "dep_balance", "deposit", {"of": 5}, lines)
    call = [7, b"id", "ann", "dep_balance", "deposit"]
    assert rows(village, served) == [
        ["call", *call, {"of": 5}],
        ["paid", 7, "ann", [lines[1]]],
        ["paid", 7, "bob", [lines[0]]],
    ]
    failed = CallFailed(7, b"id", "ann", "dep_balance", "deposit", "no such method")
    assert rows(village, failed) == [["failed call", *call, "no such method"]]


def test_a_leaf_is_the_rfc_6962_hash_of_a_rows_canonical_bytes() -> None:
    _, found = traded()
    raw = cbor.encode(found[0])
    assert cbor.decode(raw)[:3] == ["slot", found[0][1], 0]
    assert found[0][3] == HOUR
    assert row_leaf(found[0]) == leaf_hash(raw)
