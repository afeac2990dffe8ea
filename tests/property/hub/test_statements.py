"""Whatever meters say and fail to say: every account's statement is right, and none other is."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.money import amount_utok as hub_amount_utok
from member.bill import check_bill
from member.errors import Refused
from member.heads import Anchor, anchor_of
from member.settling import amount_utok
from messages.errors import MessageError
from messages.statement import Statement, format_statement
from messages.trust import format_trust
from tests.support.village import Village, expect_effect
from tests.support.village_ledger import statement_of, trust_of

SLOTS = 4
METERS = (
    ("ann-pv", "ann", "generation"),
    ("ann-load", "ann", "consumption"),
    ("bob-net", "bob", "net"),
    ("cyd-store", "cyd", "storage"),
)

energy = st.one_of(st.integers(0, 5), st.integers(0, 10**10))
moves = st.lists(
    st.lists(st.tuples(energy, energy), min_size=len(METERS), max_size=len(METERS)),
    min_size=SLOTS,
    max_size=SLOTS,
)
# Slot in which the register at the end of each meter's slot arrives.
delays = st.lists(
    st.lists(st.integers(0, SLOTS), min_size=SLOTS, max_size=SLOTS),
    min_size=len(METERS),
    max_size=len(METERS),
)
lost = st.sets(st.tuples(st.integers(0, len(METERS) - 1), st.integers(1, SLOTS - 1)), max_size=4)
parameters = st.fixed_dictionaries(
    {
        "deficit": st.sampled_from(["curtail", "supplier"]),
        "surplus": st.sampled_from(["grid", "storage", "curtail"]),
    }
)
spans = st.tuples(st.integers(0, SLOTS - 1), st.integers(1, SLOTS))


def play(
    moves: list[list[tuple[int, int]]],
    delays: list[list[int]],
    lost: set[tuple[int, int]],
    parameters: dict[str, Any],
) -> Village:
    """Slots in which registers come late, or never."""
    village = Village(signed=True, parameters=parameters, feed_in=((0, 100_000), (120, 7)))
    for meter in METERS:
        village.meter(*meter)
        village.read(meter[0], 0, 0, 0)
    totals = [[(0, 0)] for _ in METERS]
    for slot in moves:
        for number, (imported, exported) in enumerate(slot):
            last = totals[number][-1]
            totals[number].append((last[0] + imported, last[1] + exported))
    sent = [0] * len(METERS)
    for now in range(SLOTS):
        for number, (meter_id, _, _) in enumerate(METERS):
            while sent[number] < now + 1 and delays[number][sent[number]] <= now:
                sent[number] += 1
                if (number, sent[number]) not in lost:
                    village.read(meter_id, sent[number], *totals[number][sent[number]])
        village.close(now, "timeout")
        expect_effect(village.header())
    return village


def told(village: Village, account: str, span: tuple[int, int]) -> tuple[Statement, Anchor]:
    with tempfile.TemporaryDirectory() as folder:
        made = statement_of(village, Path(folder), account, *span)
    return made, anchor_of(format_trust(trust_of(village)), None, 0, None)


@settings(max_examples=25, deadline=None)
@given(moves, delays, lost, parameters, spans)
def test_every_statement_is_right(
    moves: list[Any],
    delays: list[Any],
    lost: set[Any],
    parameters: dict[str, Any],
    spans: tuple[int, int],
) -> None:
    village = play(moves, delays, lost, parameters)
    first, last = min(spans[0], spans[1] - 1), spans[1]
    for account in ("ann", "bob", "cyd"):
        made, anchor = told(village, account, (first, last))
        facts = check_bill(format_statement(made), anchor).facts
        assert facts["slots"] == last - first
        assert facts["opening_proven"]
        if last == SLOTS:
            assert made.closing_utok == village.state.accounts.get(account, 0)


@settings(max_examples=15, deadline=None)
@given(moves, delays, parameters, st.integers(0, 10**9))
def test_no_bit_of_a_statement_can_be_flipped(
    moves: list[Any], delays: list[Any], parameters: dict[str, Any], place: int
) -> None:
    village = play(moves, delays, set(), parameters)
    made, anchor = told(village, "ann", (1, 2))
    raw = bytearray(format_statement(made).encode())
    check_bill(raw.decode(), anchor)
    raw[place // 8 % len(raw)] ^= 1 << place % 8
    with pytest.raises((Refused, MessageError, UnicodeDecodeError)):
        check_bill(raw.decode(), anchor)


@given(st.integers(0, 10**18), st.integers(0, 10**8))
def test_both_arithmetics_agree(energy_uwh: int, price: int) -> None:
    assert amount_utok(energy_uwh, price) == hub_amount_utok(energy_uwh, price)
