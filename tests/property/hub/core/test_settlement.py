"""Whatever meters say and fail to say: energy and money are conserved, slot by slot."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.effects import Corrected, SlotSettled
from hub.core.state import State
from hub.market.contract import GRID, SPILLED, STORAGE, SUPPLIER
from tests.support.village import HOUR, Village

SLOTS = 6
METERS = (
    ("ann-pv", "ann", "generation"),
    ("ann-load", "ann", "consumption"),
    ("bob-net", "bob", "net"),
    ("cyd-load", "cyd", "consumption"),
    ("cyd-store", "cyd", "storage"),
)
OUTSIDE = {GRID, SUPPLIER, STORAGE, SPILLED}

energy = st.one_of(st.integers(0, 5), st.integers(0, 10**10))
moves = st.lists(
    st.lists(st.tuples(energy, energy), min_size=len(METERS), max_size=len(METERS)),
    min_size=SLOTS,
    max_size=SLOTS,
)
parameters = st.fixed_dictionaries(
    {
        "deficit": st.sampled_from(["curtail", "supplier"]),
        "surplus": st.sampled_from(["grid", "storage", "curtail"]),
    }
)
# Slot in which the register at the end of each meter's slot arrives; SLOTS: after everything.
delays = st.lists(
    st.lists(st.integers(0, SLOTS), min_size=SLOTS, max_size=SLOTS),
    min_size=len(METERS),
    max_size=len(METERS),
)
prices = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))


def run(
    moves: list[list[tuple[int, int]]],
    delays: list[list[int]] | None,
    parameters: dict[str, str],
    prices: tuple[int, int] = (300_000, 100_000),
) -> tuple[Village, list[Any]]:
    """Play slots; a register arrives in order, when its delay or an earlier one's has passed."""
    village = Village(
        parameters=parameters, prices=((0, prices[0]),), feed_in=((0, prices[1]), (120, 7))
    )
    effects: list[Any] = []
    for meter in METERS:
        village.meter(*meter)
        village.read(meter[0], 0, 0, 0)
    totals = [[(0, 0)] for _ in METERS]
    for slot in moves:
        for number, (imported, exported) in enumerate(slot):
            last = totals[number][-1]
            totals[number].append((last[0] + imported, last[1] + exported))
    sent = [0] * len(METERS)
    for now in range(SLOTS + 1):
        for number, (meter_id, _, _) in enumerate(METERS):
            while sent[number] < min(now + 1, SLOTS) and (
                delays is None or delays[number][sent[number]] <= now
            ):
                sent[number] += 1
                effects += village.read(meter_id, sent[number], *totals[number][sent[number]])
        if now < SLOTS:
            effects += village.close(now, "timeout")
    for number, (meter_id, _, _) in enumerate(METERS):
        while sent[number] < SLOTS:
            sent[number] += 1
            effects += village.read(meter_id, sent[number], *totals[number][sent[number]])
    return village, effects


@settings(max_examples=40)
@given(moves, delays, parameters, prices)
def test_every_settlement_sums_to_zero(
    moves: list[Any], delays: list[Any], parameters: dict[str, str], prices: tuple[int, int]
) -> None:
    village, effects = run(moves, delays, parameters, prices)
    for effect in effects:
        if isinstance(effect, SlotSettled | Corrected):
            assert sum(line.amount_utok for line in effect.lines) == 0
    assert sum(village.state.accounts.values()) == 0


@settings(max_examples=40)
@given(moves, delays, parameters, prices)
def test_accounts_are_the_sums_of_their_lines(
    moves: list[Any], delays: list[Any], parameters: dict[str, str], prices: tuple[int, int]
) -> None:
    village, effects = run(moves, delays, parameters, prices)
    sums: dict[str, int] = defaultdict(int)
    for effect in effects:
        for line in getattr(effect, "lines", ()):
            sums[line.account] += line.amount_utok
    assert dict(sums) == village.state.accounts


@settings(max_examples=40)
@given(moves, delays, parameters)
def test_energy_is_conserved_and_nobody_trades_more_than_he_has(
    moves: list[Any], delays: list[Any], parameters: dict[str, str]
) -> None:
    _, effects = run(moves, delays, parameters)
    for slot in (effect for effect in effects if isinstance(effect, SlotSettled)):
        assert slot.failure == ""
        assert slot.checks.energy_conserved
        assert slot.checks.money_conserved
        gives: dict[str, int] = defaultdict(int)
        takes: dict[str, int] = defaultdict(int)
        for row in slot.matches:
            gives[row.match.seller] += row.match.energy_uwh
            takes[row.match.buyer] += row.match.energy_uwh
        for position in slot.positions:
            assert gives[position.member] <= position.surplus_uwh
            assert takes[position.member] <= position.deficit_uwh
        for rest in slot.remainders:
            position = next(p for p in slot.positions if p.member == rest.member)
            (gives if position.surplus_uwh else takes)[rest.member] += rest.energy_uwh
        for position in slot.positions:
            net = position.generated_uwh - position.consumed_uwh
            assert gives[position.member] - takes[position.member] == net
        # nobody is left with a surplus while another has a deficit
        left = {rest.member for rest in slot.remainders}
        assert not (
            {p.member for p in slot.positions if p.surplus_uwh} & left
            and {p.member for p in slot.positions if p.deficit_uwh} & left
        )


@settings(max_examples=40)
@given(moves, delays, parameters)
def test_no_register_loses_energy_however_late_it_comes(
    moves: list[Any], delays: list[Any], parameters: dict[str, str]
) -> None:
    """The slots' energies, corrections in place of estimates, are the differences of registers."""
    _, effects = run(moves, delays, parameters)
    final: dict[tuple[int, str], tuple[int, int]] = {}
    for effect in effects:
        if isinstance(effect, SlotSettled):
            for row in effect.energies:
                final[effect.slot_ms, row.meter_id] = (row.import_uwh, row.export_uwh)
        elif isinstance(effect, Corrected):
            row = effect.energy
            final[effect.slot_ms, row.meter_id] = (row.import_uwh, row.export_uwh)
    for number, (meter_id, _, _) in enumerate(METERS):
        for slot in range(SLOTS):
            assert final[slot * HOUR, meter_id] == moves[slot][number]


@settings(max_examples=20)
@given(moves, delays, prices)
def test_late_registers_end_at_the_bill_of_the_grid_alone(
    moves: list[Any], delays: list[Any], prices: tuple[int, int]
) -> None:
    """Without neighbours there is no trade: late or in time, everybody pays the same."""
    alone = {"deficit": "curtail", "surplus": "grid"}
    for member in ("ann", "bob", "cyd"):
        mine = [n for n, meter in enumerate(METERS) if meter[1] == member]
        only = [[pair if n in mine else (0, 0) for n, pair in enumerate(slot)] for slot in moves]
        late, _ = run(only, delays, alone, prices)
        in_time, _ = run(only, None, alone, prices)
        assert late.state.accounts.get(member, 0) == in_time.state.accounts.get(member, 0)
        assert late.state.nets == {}


@settings(max_examples=40)
@given(moves, delays, parameters, st.integers(0, 60))
def test_replay_from_anywhere_is_the_live_state(
    moves: list[Any], delays: list[Any], parameters: dict[str, str], start: int
) -> None:
    village, _ = run(moves, delays, parameters)
    live, root = village.state, village.state.root()
    assert village.replay() == live
    half = State()
    prefix = Village.__new__(Village)
    prefix.entries, prefix.contracts = village.entries[:start], village.contracts
    half = State.loads(prefix.replay().dumps())
    again = village.replay(start, half)
    assert again == live
    assert again.root() == root == State.loads(live.dumps()).root()


@settings(max_examples=40)
@given(moves, parameters, st.randoms(use_true_random=False))
def test_the_order_in_which_meters_report_does_not_matter(
    moves: list[Any], parameters: dict[str, str], random: Any
) -> None:
    """Registers of one slot, in any order before its close, give the same accounts and books."""
    found = []
    for shuffled in (False, True):
        village = Village(parameters=parameters)
        for meter in METERS:
            village.meter(*meter)
            village.read(meter[0], 0, 0, 0)
        totals = [(0, 0)] * len(METERS)
        settled = []
        for number, slot in enumerate(moves):
            totals = [(t[0] + m[0], t[1] + m[1]) for t, m in zip(totals, slot, strict=True)]
            order = list(range(len(METERS)))
            if shuffled:
                random.shuffle(order)
            for place in order:
                village.read(METERS[place][0], number + 1, *totals[place])
            settled += village.close(number)
        found.append((village.state.accounts, settled, village.state.cursors))
    assert found[0] == found[1]
