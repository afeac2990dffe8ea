"""What open relays keep back adds up, however contacts, decisions and slots fall together."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.core.effects import ShedClosed, ShedOpened, SlotSettled
from tests.support.village import Village, cut, fed, relay

SLOT = 60_000
steps = st.lists(
    st.tuples(
        st.integers(1, 50_000),
        st.sampled_from(["cut", "fed", "open", "feed", "refuse"]),
        st.integers(0, 10**6),
    ),
    max_size=12,
)


@given(steps)
def test_slots_and_sheds_tell_the_same_energy(steps: list[tuple[int, str, int]]) -> None:
    village = Village(slot_ms=SLOT)
    village.meter("m", "ann", "net")
    village.node("pi", (relay("heater", "ann"),))
    village.read("m", 0, 0, 0)
    effects: list[Any] = []
    now, slot = 0, 0
    for wait_ms, action, power_mw in [*steps, (1, "feed", 0)]:
        now += wait_ms
        while (slot + 1) * SLOT <= now:
            effects += village.close(slot, "timeout")
            slot += 1
        if action == "cut":
            effects += village.decide(now, cut("heater", "ann", power_mw))
        elif action == "fed":
            effects += village.decide(now, fed("heater", "ann"))
        else:
            energised = action == "open"
            outcome = "refused" if action == "refuse" else "applied"
            effects += village.ack("heater", now, energised=energised, outcome=outcome)
    effects += village.close(slot, "timeout")
    opened = [e for e in effects if isinstance(e, ShedOpened)]
    closed = [e for e in effects if isinstance(e, ShedClosed)]
    assert [e.from_ms for e in opened] == [e.from_ms for e in closed]
    slots = [e for e in effects if isinstance(e, SlotSettled)]
    in_slots = sum(p.held_uwh for s in slots for p in s.positions)
    assert in_slots == sum(e.held_uwh for e in closed)
    assert village.state.sheds == {}
    assert sum(s.curtailed_uwh for s in slots) == in_slots
