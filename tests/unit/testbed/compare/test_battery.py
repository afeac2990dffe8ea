"""A home's battery: never more out than in, never beyond its limits, exact roundings."""

import random

from testbed.compare.battery import Battery, store

HOUR = 3_600_000
KWH = 1_000_000_000


def test_surplus_goes_in_and_deficit_comes_out_each_way_losing_once() -> None:
    battery = Battery(10 * KWH, 5_000_000, 90)
    found = store(battery, [4 * KWH, 0, 0], [KWH, 2 * KWH, KWH], HOUR)
    assert found.charged_uwh == [3 * KWH, 0, 0]
    # 3 kWh in leave 2.7; 2 kWh out draw 2.2223 (rounded up); the rest gives 0.43.
    assert found.discharged_uwh == [0, 2 * KWH, 429_999_999]
    assert found.level_uwh == [2_700_000_000, 477_777_777, 0]


def test_power_and_room_bound_what_moves() -> None:
    slow = store(Battery(10 * KWH, 1_000_000, 100), [4 * KWH, 0], [0, 4 * KWH], HOUR // 2)
    assert (slow.charged_uwh, slow.discharged_uwh) == ([KWH // 2, 0], [0, KWH // 2])
    small = store(Battery(KWH, 9_000_000, 100), [4 * KWH, 0], [0, 4 * KWH], HOUR)
    assert (small.charged_uwh, small.discharged_uwh) == ([KWH, 0], [0, KWH])


def test_it_never_gives_what_it_did_not_get() -> None:
    chance = random.Random(20240601)
    for _ in range(60):
        battery = Battery(
            chance.randint(1, 9) * KWH + chance.randint(0, 999),
            chance.randint(1, 4_000_000),
            chance.randint(50, 100),
        )
        generated = [chance.randint(0, 5 * KWH) for _ in range(48)]
        consumed = [chance.randint(0, 5 * KWH) for _ in range(48)]
        found = store(battery, generated, consumed, HOUR)
        most, level, percent = battery.per_slot_uwh(HOUR), 0, battery.efficiency_percent
        rows = zip(generated, consumed, found.charged_uwh, found.discharged_uwh, strict=True)
        for slot, (made, used, into, out) in enumerate(rows):
            assert 0 <= into <= max(made - used, 0)
            assert 0 <= out <= max(used - made, 0)
            assert into <= most
            assert out <= most
            after = found.level_uwh[slot]
            assert 0 <= after <= battery.capacity_uwh
            gained, level = after - level, after
            assert gained * 100 <= into * percent
            assert out * 100 <= (into * percent // 100 - gained) * percent
