"""Commands live shortly, are renewed while their reason stands, and only ever grow in sequence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hub.switching.leases import COUNTER_BITS, Leases, RelayName, Standing
from messages.lease import Lease

TTL_MS = 6_000
NAME = ("dep1", "heat")


class World:
    """The newest nonce of a guard, and where its contact is known to be."""

    def __init__(self) -> None:
        self.nonces: dict[str, bytes] = {"dep1": b"n" * 16}
        self.contacts: dict[RelayName, bool] = {}

    def due(self, leases: Leases, now_ms: int) -> tuple[Lease, ...]:
        return leases.due(now_ms, self.nonces.get, self.contacts.get)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def leases() -> Leases:
    return Leases(TTL_MS)


def order(decision: int, *, energised: bool = True, relay: str = "heat") -> Standing:
    return Standing("dep1", relay, energised, energised, decision, "not enough")


def test_nothing_is_sent_before_anything_is_ordered(leases: Leases, world: World) -> None:
    assert world.due(leases, 0) == ()


def test_an_order_goes_out_at_once_and_is_renewed_three_times_a_life(
    leases: Leases, world: World
) -> None:
    leases.order(order(7))
    (first,) = world.due(leases, 1_000)
    assert first == Lease(
        "dep1", "heat", b"n" * 16, (7 << COUNTER_BITS) + 1, TTL_MS, True, "not enough", 7
    )
    assert world.due(leases, 2_999) == ()
    world.nonces["dep1"] = b"m" * 16
    (second,) = world.due(leases, 3_000)
    assert (second.nonce, second.sequence) == (b"m" * 16, first.sequence + 1)


def test_without_a_nonce_nothing_can_be_sent_yet(leases: Leases, world: World) -> None:
    world.nonces.clear()
    leases.order(order(7))
    assert world.due(leases, 0) == ()
    assert not leases.was_sent(NAME)
    world.nonces["dep1"] = b"n" * 16
    assert len(world.due(leases, 1)) == 1
    assert leases.was_sent(NAME)


def test_letting_go_is_said_until_it_is_seen_and_then_no_more(leases: Leases, world: World) -> None:
    leases.order(order(7, energised=False))
    (lease,) = world.due(leases, 0)
    assert not lease.energised
    assert len(world.due(leases, 2_000)) == 1
    world.contacts[NAME] = False
    assert world.due(leases, 10_000) == ()
    world.contacts[NAME] = True
    assert len(world.due(leases, 10_001)) == 1


def test_an_energised_relay_is_renewed_although_it_is_where_it_should_be(
    leases: Leases, world: World
) -> None:
    leases.order(order(7))
    world.due(leases, 0)
    world.contacts[NAME] = True
    assert len(world.due(leases, 2_000)) == 1


def test_sequences_grow_from_decision_to_decision(leases: Leases, world: World) -> None:
    leases.order(order(7))
    seen = [lease.sequence for at in range(0, 100_000, 2_000) for lease in world.due(leases, at)]
    leases.order(order(8, energised=False))
    seen += [lease.sequence for lease in world.due(leases, 100_000)]
    assert seen == sorted(set(seen))


def test_a_new_order_is_due_at_once(leases: Leases, world: World) -> None:
    leases.order(order(7))
    world.due(leases, 0)
    leases.order(order(8, energised=False))
    (lease,) = world.due(leases, 1)
    assert (lease.decision, lease.energised) == (8, False)


def test_how_long_a_lease_still_runs(leases: Leases, world: World) -> None:
    assert leases.left_ms(NAME, 0) == 0
    leases.order(order(7))
    assert leases.left_ms(NAME, 0) == 0
    world.due(leases, 0)
    assert leases.left_ms(NAME, 2_000) == 4_000
    assert leases.left_ms(NAME, 9_000) == 0
    leases.order(order(8, energised=False))
    world.due(leases, 9_000)
    assert leases.left_ms(NAME, 9_000) == 0


def test_relays_that_are_gone_are_forgotten(leases: Leases, world: World) -> None:
    leases.order(order(7))
    leases.order(order(7, relay="pump"))
    leases.keep_only([("dep1", "pump")])
    assert [each.relay for each in leases.standing] == ["pump"]
    assert [lease.relay for lease in world.due(leases, 0)] == ["pump"]


def test_orders_stand_by_name(leases: Leases) -> None:
    make: Callable[[str], Standing] = lambda relay: order(7, relay=relay)  # noqa: E731
    for relay in ("pump", "fan", "heat"):
        leases.order(make(relay))
    assert [each.name[1] for each in leases.standing] == ["fan", "heat", "pump"]
    assert leases.order_of(("dep1", "fan")) == make("fan")
    assert leases.order_of(("dep1", "lamp")) is None
