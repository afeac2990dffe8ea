"""What is said of relays: silent nodes, local holds, and what measurement found."""

from __future__ import annotations

from hub.core.records import Faulty, Relay
from hub.core.state import Change, State
from hub.link.nodes import SILENT_AFTER_MS, Newsroom
from hub.switching.leases import Leases, Standing
from hub.vitals.alarms import relay_alarms
from messages.relayfault import ASTRAY, WELDED, WORKS
from messages.status import RelayStatus, Status

NOW_MS = 100_000


def site() -> tuple[State, Newsroom, Leases]:
    state, news = State(), Newsroom()
    relay = Relay("fed", "heater", "alice", 40_000, is_critical=False, min_on_ms=0, min_off_ms=0)
    state.apply(Change("relay", ("dep1", name), relay) for name in ("heat", "pump"))
    news.hear("dep1", NOW_MS)
    return state, news, Leases(5_000)


def test_of_a_well_microgrid_nothing_is_said() -> None:
    assert list(relay_alarms(*site(), NOW_MS)) == []


def test_a_silent_node_is_named_where_its_relays_are_ordered() -> None:
    state, news, leases = site()
    assert list(relay_alarms(state, news, leases, NOW_MS + SILENT_AFTER_MS + 1)) == []
    leases.order(Standing("dep1", "heat", energised=True, cut=True, decision=9, reason="x"))
    assert list(relay_alarms(state, news, leases, NOW_MS + SILENT_AFTER_MS)) == []
    (alarm,) = relay_alarms(state, news, leases, NOW_MS + SILENT_AFTER_MS + 1)
    assert alarm == "node dep1 is silent, and relays of it are ordered: look there"


def test_relays_that_one_reason_holds_are_one_sentence() -> None:
    state, news, leases = site()
    rows = tuple(RelayStatus(name, False, 0, "", "by hand") for name in ("heat", "pump"))
    news.take_status(Status("dep1", b"", (), rows, 0, 0, 0), NOW_MS)
    assert list(relay_alarms(state, news, leases, NOW_MS)) == [
        "node dep1 lets no lease move heat, pump: by hand"
    ]


def test_each_fault_is_said_and_who_has_to_mend_it() -> None:
    state, news, leases = site()
    faults = {
        "heat": Faulty(WELDED, "it draws on", 0, 2, 7),
        "pump": Faulty(ASTRAY, "it does not follow", 0, 0, 8),
    }
    state.apply(Change("fault", ("dep1", name), fault) for name, fault in faults.items())
    assert list(relay_alarms(state, news, leases, NOW_MS)) == [
        "relay dep1/heat: it draws on; mend it, then gridtally-hub trust-relay dep1/heat",
        "relay dep1/pump: it does not follow",
    ]
    state.apply([Change("fault", ("dep1", "pump"), Faulty(WORKS, "it follows", 0, 0, 9))])
    assert len(list(relay_alarms(state, news, leases, NOW_MS))) == 1
