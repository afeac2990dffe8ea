"""When a load that may wait runs: in the cheapest slots of its window, the earliest of equals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.shifting import Shift, Shifting, Span, cheapest, window_at
from messages.status import REST, RUN, WAIT, RelayStatus
from messages.tariff import Tariff

HOUR = 3_600_000
DAY = 24 * HOUR
NIGHT = Shift(22 * 60, 6 * 60, 2 * HOUR, "cut")
"""Two hours between ten in the evening and six in the morning; fed while its coil is on."""


def tariff(*prices: int, first_hour: int = 22, made_ms: int = 1) -> Tariff:
    return Tariff(made_ms, HOUR, first_hour * HOUR, prices, (0,) * len(prices), prices)


def heater(*, energised: bool | None) -> tuple[RelayStatus, ...]:
    return (RelayStatus("heater", energised, 0, ""),)


def test_a_window_may_cross_midnight() -> None:
    assert window_at(NIGHT, 23 * HOUR) == Span(22 * HOUR, 30 * HOUR)
    assert window_at(NIGHT, DAY + 3 * HOUR) == Span(22 * HOUR, 30 * HOUR)
    assert window_at(NIGHT, 30 * HOUR) is None
    assert window_at(NIGHT, 12 * HOUR) is None
    assert window_at(Shift(0, 0, HOUR, "cut"), 5 * HOUR) == Span(0, DAY)


def test_the_cheapest_are_taken_and_of_equal_ones_the_earliest() -> None:
    told = tariff(5, 3, 1, 3, 1, 9)
    assert cheapest(told, HOUR, 22 * HOUR, 28 * HOUR, 2 * HOUR) == (24 * HOUR, 26 * HOUR)
    assert cheapest(told, HOUR, 22 * HOUR, 28 * HOUR, 3 * HOUR) == (23 * HOUR, 24 * HOUR, 26 * HOUR)


def test_without_a_price_for_now_it_runs_at_once() -> None:
    assert cheapest(None, HOUR, 22 * HOUR, 28 * HOUR, HOUR) == (22 * HOUR,)
    old = tariff(1, 2, 3, first_hour=10)
    assert cheapest(old, HOUR, 22 * HOUR, 28 * HOUR, HOUR) == (22 * HOUR,)


def test_a_slot_that_the_tariff_does_not_reach_is_the_dearest() -> None:
    assert cheapest(tariff(9, 8), HOUR, 22 * HOUR, 28 * HOUR, HOUR) == (23 * HOUR,)


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=24),
    st.integers(1, 24 * 60),
    st.integers(0, 59),
)
def test_it_is_enough_and_no_cheaper_slot_is_left(
    prices: list[int], needed_minutes: int, into_minutes: int
) -> None:
    at_ms, end_ms = into_minutes * 60_000, len(prices) * HOUR
    told, needed_ms = tariff(*prices, first_hour=0), needed_minutes * 60_000
    taken = cheapest(told, HOUR, at_ms, end_ms, needed_ms)

    def room(start_ms: int) -> int:
        return min(start_ms + HOUR, end_ms) - max(start_ms, at_ms)

    assert sum(map(room, taken)) >= min(needed_ms, end_ms - at_ms)
    left = [prices[place] for place in range(len(prices)) if place * HOUR not in taken]
    assert not left or max(prices[each // HOUR] for each in taken) <= min(left)


def test_a_night_from_waiting_to_done() -> None:
    shifting = Shifting({"heater": NIGHT}, HOUR)
    assert shifting.take(tariff(5, 5, 5, 1, 1, 5, 5, 5), 22 * HOUR)
    wishes = []
    on = False
    for minute in range(20 * 60, 31 * 60, 5):
        changed = shifting.look(minute * 60_000, heater(energised=on))
        wishes += [(minute // 60, minute % 60, wish) for wish in changed.values()]
        on = shifting.told(heater(energised=on))[0].wish == RUN
    assert wishes == [
        (22, 0, WAIT),  # it would run now
        (24, 0, REST),  # and would be done by now
        (25, 0, RUN),
        (27, 5, REST),  # the contact followed five minutes late
    ]


def test_a_load_that_was_cut_meanwhile_takes_later_slots() -> None:
    shifting = Shifting({"heater": NIGHT}, HOUR)
    shifting.take(tariff(1, 1, 5, 5, 5, 5, 5, 3), 22 * HOUR)
    for minute in range(22 * 60, 24 * 60, 5):
        shifting.look(minute * 60_000, heater(energised=False))
    assert shifting.told(heater(energised=False))[0].wish == RUN
    shifting.look(24 * HOUR, heater(energised=False))
    assert shifting.told(heater(energised=False))[0].wish == RUN  # 5, 5 and 3: two are needed
    shifting.look(25 * HOUR, heater(energised=None))
    assert shifting.told(heater(energised=None))[0].wish == RUN


def test_at_the_end_of_the_window_it_runs_whatever_it_costs() -> None:
    shifting = Shifting({"heater": NIGHT}, HOUR)
    shifting.take(tariff(1, 1, 1, 1, 1, 1, 9, 9), 22 * HOUR)
    shifting.look(28 * HOUR, heater(energised=False))
    assert shifting.told(heater(energised=False))[0].wish == RUN


def test_an_older_tariff_and_one_of_other_slots_are_not_taken() -> None:
    shifting = Shifting({"heater": NIGHT}, HOUR)
    assert shifting.take(tariff(5, 1, made_ms=7), 22 * HOUR)
    assert not shifting.take(tariff(1, 5, made_ms=7), 22 * HOUR)
    assert not shifting.take(tariff(1, 5, made_ms=6), 22 * HOUR)
    assert not shifting.take(Tariff(9, HOUR // 2, 0, (1,), (1,), (1,)), 22 * HOUR)
    assert shifting.is_told(22 * HOUR)
    assert not shifting.is_told(24 * HOUR)


def test_a_tariff_of_a_clock_that_was_wrong_gives_way() -> None:
    shifting = Shifting({"heater": NIGHT}, HOUR)
    assert shifting.take(tariff(5, 1, first_hour=9_000, made_ms=9_000 * HOUR), 22 * HOUR)
    assert not shifting.is_told(22 * HOUR)
    assert shifting.take(tariff(5, 1, made_ms=22 * HOUR), 22 * HOUR)
    assert shifting.is_told(22 * HOUR)


def test_a_relay_that_is_not_shiftable_has_no_wish() -> None:
    shifting = Shifting({"heater": NIGHT}, HOUR)
    lamp = RelayStatus("lamp", None, 0, "")
    assert shifting.told((lamp,)) == (lamp,)
    assert shifting.look(12 * HOUR, (lamp,)) == {}
