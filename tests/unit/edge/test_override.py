"""A switch on the node: thrown at once, back after a second, and stronger than any lease."""

import pytest

from edge.config import EXAMPLE, parse_config
from edge.errors import ConfigError
from edge.lease import Rules
from edge.override import BACK_AFTER_MS, Hold, Switch, held_by
from edge.relays import DISOBEDIENT, OVER, Relays
from hardware.errors import BusUnavailable
from tests.support.coil import Coil
from tests.support.edge_hub import FakeHub
from tests.unit.edge.test_config import HERE, told

WHY = "overridden locally by switch stop"


class Pin:
    def __init__(self):
        self.level = False
        self.is_broken = False

    @property
    def is_high(self):
        if self.is_broken:
            raise BusUnavailable("GPIO27: gone")
        return self.level


class Bench:
    def __init__(self, **rules):
        self.hub = FakeHub()
        self.now_ms = 50_000
        self.coils = {"heater": Coil(), "pump": Coil()}
        given = {name: rules.get(name, Rules()) for name in self.coils}
        self.relays = Relays("dep1", self.hub.trust, self.coils, given, lambda: self.now_ms)

    def lease(self, relay="heater", **changes):
        self.relays.make_nonce()
        nonce = next(f["nonce"] for f in reversed(self.relays.unsent) if "nonce" in f)
        lease = self.hub.lease(nonce, relay, **{"ttl_ms": 10_000, **changes})
        self.relays.take({"lease": self.hub.sign(lease)})

    def throw(self, energised, *relays):
        holds = {name: Hold(energised, WHY) for name in relays or ("heater",)}
        self.relays.override(holds)
        self.relays.override(holds)

    def acks(self):
        found = [frame["ack"] for frame in self.relays.unsent if "ack" in frame]
        self.relays.unsent.clear()
        return [(ack["relay"], ack["outcome"], ack["energised"], ack["reason"]) for ack in found]

    def unavailable(self, relay="heater"):
        rows = self.relays.state()["relays"]
        return next(row["unavailable"] for row in rows if row["relay"] == relay)


@pytest.fixture
def bench():
    return Bench()


def test_a_switch_is_thrown_at_once_and_back_after_a_second():
    pin = Pin()
    switch = Switch(pin, True, {"heater": Hold(False, WHY)})
    assert held_by((switch,), 0) == {}
    pin.level = True
    assert held_by((switch,), 10) == {"heater": Hold(False, WHY)}
    pin.level = False
    assert switch.look(11)
    assert switch.look(9 + BACK_AFTER_MS)
    assert not switch.look(10 + BACK_AFTER_MS)


def test_a_loose_wire_holds_and_does_not_chatter():
    pin = Pin()
    switch = Switch(pin, True, {})
    pin.level = True
    assert switch.look(0)
    for step in range(1, 100):
        pin.level = step % 10 == 0
        assert switch.look(step * 90)


@pytest.mark.parametrize("thrown", [True, False])
def test_a_pin_that_cannot_be_read_counts_as_before(thrown, caplog):
    pin = Pin()
    switch = Switch(pin, True, {})
    pin.level = thrown
    assert switch.look(0) == thrown
    pin.is_broken = True
    for step in range(1, 5):
        assert switch.look(step * 10 * BACK_AFTER_MS) == thrown
    assert len(caplog.records) == 1


def test_thrown_a_contact_is_safe_whatever_its_lease_says(bench):
    bench.lease()
    bench.throw(False)
    assert bench.coils["heater"].history == [True, False]
    bench.lease()
    bench.lease()
    assert bench.coils["heater"].history == [True, False]
    assert bench.acks() == [
        ("heater", "applied", True, "deficit"),
        ("heater", "override", False, WHY),
        ("heater", "refused", False, WHY),
    ]
    assert bench.unavailable() == WHY
    assert bench.unavailable("pump") == ""
    bench.lease("pump")
    assert bench.coils["pump"].history == [True]


def test_thrown_a_contact_is_held_where_the_person_wants_it(bench):
    bench.throw(True)
    assert bench.coils["heater"].history == [True]
    bench.now_ms += 3_600_000
    bench.relays.end_leases()
    bench.relays.all_safe("the agent is gone")
    bench.lease(energised=False)
    assert bench.coils["heater"].history == [True]
    assert bench.acks()[:1] == [("heater", "override", True, WHY)]


def test_a_throw_that_moves_nothing_is_told_as_well(bench):
    bench.throw(False)
    assert bench.coils["heater"].history == []
    assert bench.acks() == [("heater", "override", False, WHY)]


def test_back_again_it_is_safe_until_a_fresh_lease(bench):
    bench.throw(True)
    bench.relays.override({})
    assert bench.coils["heater"].history == [True, False]
    assert bench.acks() == [("heater", "override", True, WHY), ("heater", "safe", False, OVER)]
    assert bench.unavailable() == ""
    bench.lease()
    assert bench.coils["heater"].history == [True, False, True]


def test_a_person_waits_for_the_least_time_off_but_never_to_be_safe():
    bench = Bench(heater=Rules(min_off_ms=5_000, min_on_ms=5_000))
    bench.throw(True)
    assert bench.coils["heater"].history == []
    bench.now_ms += 5_000
    bench.throw(True)
    assert bench.coils["heater"].history == [True]
    bench.throw(False)
    assert bench.coils["heater"].history == [True, False]


def test_of_an_interlock_group_the_other_one_lets_go_first():
    bench = Bench(heater=Rules(interlock="a"), pump=Rules(interlock="a"))
    bench.lease("pump")
    bench.throw(True)
    assert bench.coils["pump"].history == [True, False]
    assert bench.coils["heater"].history == [True]
    bench.lease("pump")
    assert bench.coils["pump"].history == [True, False]
    assert bench.acks()[-1] == ("pump", "refused", False, 'interlock "a": heater is energised')


def test_metering_only_beats_the_switch(bench):
    bench.throw(True)
    bench.relays.hold("guard", "metering only: why")
    bench.throw(True)
    assert bench.coils["heater"].history == [True, False]
    bench.relays.hold("guard", "")
    bench.throw(True)
    assert bench.coils["heater"].history == [True, False, True]


def test_a_contact_that_does_not_follow_is_tried_once_a_minute(bench):
    bench.coils["heater"].stuck = True
    for _ in range(59):
        bench.throw(True)
        bench.now_ms += 1_000
    assert bench.coils["heater"].history == [True, False]
    assert bench.acks() == [("heater", "override", False, DISOBEDIENT)]
    bench.now_ms += 1_000
    bench.throw(True)
    assert bench.coils["heater"].history == [True, False] * 2


# what the file says

SWITCH = """
[[override]]
switch = "stop"
pin = 27
"""
SECOND = EXAMPLE + EXAMPLE[EXAMPLE.index("[[relay]]") :].replace(
    "dep1-heater-relay", "pump"
).replace("pin = 17", "pin = 18")


@pytest.mark.parametrize(
    ("load", "deenergised", "energised"),
    [
        ("safe", "fed", False),
        ("safe", "cut", False),
        ("fed", "fed", False),
        ("fed", "cut", True),
        ("cut", "fed", True),
        ("cut", "cut", False),
    ],
)
def test_what_the_load_gets_says_where_the_coil_is_held(load, deenergised, energised):
    text = EXAMPLE.replace('deenergised = "fed"', f'deenergised = "{deenergised}"')
    config = parse_config(text + SWITCH + f'load = "{load}"\n', HERE)
    (table,) = config.override
    assert table.thrown == "open"
    assert table.holds(config.relay) == {"dep1-heater-relay": Hold(energised, WHY)}


def test_a_switch_without_relays_holds_all_on_pins():
    config = parse_config(SECOND + SWITCH, HERE)
    assert list(config.override[0].holds(config.relay)) == ["dep1-heater-relay", "pump"]
    one = parse_config(SECOND + SWITCH + 'relays = ["pump"]\n', HERE)
    assert list(one.override[0].holds(one.relay)) == ["pump"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (EXAMPLE + SWITCH.replace("27", "17"), 'pin = "17" is that of relay 1'),
        (EXAMPLE + SWITCH + 'relays = ["pumq"]\n', 'relays: no relay on pins is named "pumq"'),
        (
            EXAMPLE + SWITCH + SWITCH.replace("stop", "two").replace("27", "26"),
            "relays: dep1-heater-relay is held by switch stop already",
        ),
        (
            SECOND.replace("rated_w = 40\n\n[[relay]]", "rated_w = 40\n[[relay]]").replace(
                "active_high = true", 'active_high = true\ninterlock = "a"'
            )
            + SWITCH
            + 'load = "cut"\n',
            'load: of interlock "a" one is energised: dep1-heater-relay or pump',
        ),
    ],
)
def test_each_fault_of_a_switch_has_its_sentence(text, sentence):
    (finding,) = told(text)
    assert sentence in finding


def test_an_unknown_position_is_refused():
    with pytest.raises(ConfigError, match="thrown"):
        parse_config(EXAMPLE + SWITCH + 'thrown = "up"\n', HERE)
