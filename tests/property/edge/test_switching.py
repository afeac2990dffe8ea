"""Whatever hub, time and people at the node do: few switches, one of a group, safe ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.lease import MINUTE_MS, Rules
from edge.override import Hold
from edge.relays import Relays
from tests.support.coil import Coil
from tests.support.edge_hub import FakeHub

NAMES = ("fan", "heater")
MOST = 6
acts = st.lists(
    st.tuples(
        st.sampled_from(["on", "off", "expire", "gone", "safe", "fed", "back", "hold", "free"]),
        st.sampled_from(NAMES),
        st.integers(0, 9_000),
    ),
    max_size=60,
)


class Coils:
    """Two relays of one group, driven by random acts, and when each contact moved."""

    def __init__(self) -> None:
        self.hub = FakeHub()
        self.now_ms = 100_000
        self.coils = {name: Coil() for name in NAMES}
        rules = {name: Rules(interlock="a", switches_per_minute_max=MOST) for name in NAMES}
        self.relays = Relays("dep1", self.hub.trust, self.coils, rules, lambda: self.now_ms)
        self.thrown: dict[str, Hold] = {}
        self.moved_ms: dict[str, list[int]] = {name: [] for name in NAMES}

    def act(self, what: str, name: str, passed_ms: int) -> None:
        before = {each: self.coils[each].is_energised for each in NAMES}
        self.now_ms += passed_ms
        if what in ("on", "off"):
            self._lease(name, energised=what == "on")
        elif what == "gone":
            self.relays.all_safe("the agent is gone")
        elif what in ("safe", "fed"):
            self.thrown = {name: Hold(what == "fed", "by hand")}
        elif what == "back":
            self.thrown = {}
        elif what in ("hold", "free"):
            self.relays.hold("guard", "metering only" if what == "hold" else "")
        self.relays.override(self.thrown)
        self.relays.end_leases()
        for each in NAMES:
            if self.coils[each].is_energised != before[each]:
                self.moved_ms[each].append(self.now_ms)

    def _lease(self, name: str, *, energised: bool) -> None:
        self.relays.make_nonce()
        nonce = next(f["nonce"] for f in reversed(self.relays.unsent) if "nonce" in f)
        lease = self.hub.lease(nonce, name, energised=energised, ttl_ms=1_000)
        self.relays.take({"lease": self.hub.sign(lease)})


@given(acts)
def test_a_contact_switches_six_times_a_minute_at_most(
    given_acts: list[tuple[str, str, int]],
) -> None:
    site = Coils()
    for act in given_acts:
        site.act(*act)
        assert sum(coil.is_energised for coil in site.coils.values()) <= 1
    for moves in site.moved_ms.values():
        for start_ms in moves:
            assert sum(start_ms <= at_ms < start_ms + MINUTE_MS for at_ms in moves) <= MOST


@given(acts)
def test_without_a_person_a_contact_is_safe_when_its_lease_is_over(
    given_acts: list[tuple[str, str, int]],
) -> None:
    site = Coils()
    for act in given_acts:
        site.act(*act)
    site.act("back", NAMES[0], 0)
    site.act("expire", NAMES[0], 10_000)
    assert not any(coil.is_energised for coil in site.coils.values())
