"""What gives way on a bus, and in which order."""

from testbed.flows import Limits, Wanted, solve

NOTHING = Limits(0, 0, 0, 0)


def site(generated: int, *loads: int, wire_mohm: int = 0) -> Wanted:
    return Wanted((generated,), loads, wire_mohm)


def test_an_uncovered_deficit_pulls_the_bus_down_and_shares_the_shortage() -> None:
    flows = solve([site(20_000_000, 20_000_000, 60_000_000)], NOTHING, 12_000)
    assert flows.loads_uw == ((5_000_000, 15_000_000),)
    assert flows.bus_mv == 6_000  # a quarter of the power: half of the voltage
    assert flows.residual_uw() == 0


def test_a_surplus_that_nothing_takes_throttles_the_generators() -> None:
    flows = solve([site(90), site(10, 20)], NOTHING, 12_000)
    assert flows.generators_uw == ((18,), (2,))
    assert flows.bus_mv == 12_000


def test_the_buffer_comes_before_the_grid() -> None:
    flows = solve([site(0, 100)], Limits(60, 0, None, None), 12_000)
    assert (flows.storage_uw, flows.grid_uw) == (60, 40)


def test_a_surplus_charges_first_and_is_fed_in_after() -> None:
    flows = solve([site(100, 10)], Limits(0, 50, None, 30), 12_000)
    assert (flows.storage_uw, flows.grid_uw) == (-50, -30)
    assert flows.generators_uw == ((90,),)


def test_a_wire_loses_current_squared_times_resistance() -> None:
    # 12 W at 12 V is 1 A; through 500 mOhm that is half a watt, which the buffer must bring.
    flows = solve([site(0, 12_000_000, wire_mohm=500)], Limits(10**9, 0, 0, 0), 12_000)
    assert flows.losses_uw == (500_000,)
    assert flows.storage_uw == 12_500_000


def test_losses_without_any_source_are_not_invented() -> None:
    flows = solve([site(0, 12_000_000, wire_mohm=500)], NOTHING, 12_000)
    assert flows.losses_uw == (0,)
    assert flows.loads_uw == ((0,),)
    assert flows.bus_mv == 0
