"""Which loads stay on: against trying all subsets."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from hub.balancing.subset import LOADS_EXACT_MAX, Load, fit


def load(name: str, power: int, *, cut: bool = False) -> Load:
    return Load(("pi", name), power, cut)


def names(kept: frozenset[tuple[str, str]]) -> str:
    return "".join(sorted(name for _, name in kept))


def test_the_largest_sum_that_fits() -> None:
    loads = [load("a", 10), load("b", 20), load("c", 30), load("d", 40)]
    assert [names(fit(loads, room)) for room in (0, 9, 20, 25, 65, 100, 10**9)] == [
        "",
        "",
        "b",
        "b",
        "abc",
        "abcd",
        "abcd",
    ]


def test_equal_sums_move_few_contacts_then_cut_few_loads_then_go_by_name() -> None:
    assert names(fit([load("a", 30), load("b", 30, cut=True)], 30)) == "a"
    assert names(fit([load("a", 30, cut=True), load("b", 10), load("c", 20)], 30)) == "bc"
    assert names(fit([load("a", 30), load("b", 10), load("c", 20)], 30)) == "bc"
    assert names(fit([load("a", 5), load("b", 5), load("c", 5)], 10)) == "bc"


def test_no_room_and_no_power() -> None:
    assert fit([], 5) == frozenset()
    assert names(fit([load("a", 1), load("b", 0, cut=True)], -5)) == "b"


def test_beyond_sixteen_the_small_ones_fill_what_is_left() -> None:
    large = [load(f"l{n:02}", 1_000 + n) for n in range(LOADS_EXACT_MAX)]
    small = [load(f"s{n:02}", n) for n in range(10)]
    room = sum(item.power_mw for item in large) + 20
    kept = {name for _, name in fit([*small, *large], room)}
    assert kept == {item.name[1] for item in large} | {"s00", "s03", "s08", "s09"}
    assert fit(list(reversed([*small, *large])), room) == fit([*large, *small], room)


loads = st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=8).map(
    lambda rows: [load(f"x{n}", power, cut=cut) for n, (power, cut) in enumerate(rows)]
)


def by_trying_all(items: list[Load], room: int) -> frozenset[tuple[str, str]]:
    def rank(chosen: tuple[Load, ...]) -> tuple[int, int, int, int]:
        on = {item.name for item in chosen}
        moves = sum(item.is_cut == (item.name in on) for item in items)
        bits = sum(1 << n for n, item in enumerate(items) if item.name not in on)
        return (-sum(item.power_mw for item in chosen), moves, len(items) - len(chosen), bits)

    idle = [item for item in items if item.power_mw == 0]
    fitting = [
        chosen
        for count in range(len(items) + 1)
        for chosen in combinations(items, count)
        if sum(item.power_mw for item in chosen) <= max(room, 0)
        if all(item in chosen for item in idle)
    ]
    return frozenset(item.name for item in min(fitting, key=rank))


@given(loads, st.integers(-3, 60))
def test_it_is_what_trying_all_subsets_finds(items: list[Load], room: int) -> None:
    assert fit(items, room) == by_trying_all(items, room)
