"""The agent's loop, turned by hand: real outbox and signatures, a fake broker and fake devices."""

import queue
from dataclasses import replace

import pytest

from edge.agent import Packing
from edge.config import SamplingSettings
from edge.errors import EdgeError
from edge.inbound import Connected, Disconnected, FromGuard, FromHub, Instant, ThreadEnded
from edge.loop import Loop, Parts
from edge.measuring import Measuring, SigningMeter
from edge.outbox import Outbox
from edge.posting import Posting
from edge.receipts import log_trust
from edge.register import Meter
from edge.relaying import NodeKey, Relaying
from edge.sampler import BusThread, Device
from edge.shifting import Shift, Shifting
from edge.sweep import Devices
from hardware.errors import BusTimeout
from hardware.ports import Sample
from messages import cose
from messages.entries import Ack, parse_as, sign_entry
from messages.live import parse_live
from messages.reading import parse_reading
from messages.status import Hello, Request, Status
from messages.tariff import Tariff
from tests.support.edge_hub import NETWORK_ID, FakeHub
from tests.support.signers import ed25519

PV, NODE = ed25519("pv"), ed25519("node")
BOOT = b"boot" * 4


class Chip:
    """A device that draws a constant power, or fails."""

    def __init__(self):
        self.power_mw = 3600
        self.error = None

    def sample(self):
        if self.error is not None:
            raise self.error
        return Sample(self.power_mw, None, None, 12_000, 300, None)

    def close(self):
        """Nothing to close."""


class Bus:
    def close(self):
        """Nothing to close."""


class Broker:
    def __init__(self):
        self.sent = []
        self.is_here = True

    def publish(self, leaf, raw, *, qos=1, retain=False):
        if self.is_here:
            self.sent.append((leaf, raw, qos, retain))
        return self.is_here

    def take(self, leaf):
        """Return the bytes sent on a topic since last time."""
        found = [raw for name, raw, _, _ in self.sent if name == leaf]
        self.sent = [each for each in self.sent if each[0] != leaf]
        return found


class Barrier:
    def __init__(self):
        self.answers = []

    def answer(self, at_ms, heads):
        self.answers.append((at_ms, heads))


class AtOnce(BusThread):
    """A bus that answers when it is asked, or when told to."""

    held = None

    def ask(self, token):
        if self.held is None:
            self.sweep(token)
        else:
            self.held.append(token)


class Bench:
    def __init__(self, folder, *, simulated=True, **sampling):
        self.hub = FakeHub()
        self.events = queue.Queue()
        self.now_ms, self.offset_ms = 1_000_000, 0
        self.synchronised = True
        self.chip, self.broker, self.barrier = Chip(), Broker(), Barrier()
        self.frames = []
        settings = SamplingSettings(sample_ms=1000, slot_ms=10_000, gap_ms=5000, **sampling)
        self.bus = AtOnce("i2c1", Bus(), [Device("pv", self.chip)], self.events.put)
        self.outbox = Outbox(folder, 1000)
        key = NodeKey("dep1", NODE, NETWORK_ID)
        meter = Meter("bench", "pv", False, False, 100_000, 5000)
        measuring = Measuring(
            [SigningMeter(meter, PV)],
            Packing(1000, 10_000, 60),
            self.outbox.begin_boot(),
            lambda meter_id, reset, at_ms: None,
        )
        measuring.recall(self.outbox.registers(), self.outbox.points())
        trust = self.hub.trust
        self.loop = Loop(
            Parts(
                sampling=settings,
                trust=trust,
                key=key,
                boot_id=BOOT,
                software="gridtally test",
                outbox=self.outbox,
                posting=Posting(self.outbox, log_trust(trust), "dep1", self.broker.publish),
                measuring=measuring,
                relaying=Relaying(key, BOOT, self.send_to_guard),
                shifting=Shifting({"heater": Shift(0, 0, 20_000, "cut")}, 10_000),
                devices=Devices([self.bus], frozenset()),
                uplink=self.broker,
                barrier=self.barrier if simulated else None,
            ),
            self.events,
            boottime_ms=lambda: self.now_ms,
            utc_ms=lambda: self.now_ms + self.offset_ms,
            is_synchronised=lambda: self.synchronised,
        )

    def send_to_guard(self, frame):
        self.frames.append(frame)
        return True

    def turn(self, *events):
        for event in events or (None,):
            if event is not None:
                self.events.put(event)
            while not self.events.empty():
                self.loop.turn()

    def pass_time(self, ms):
        """Let time pass in steps that no timer misses."""
        for _ in range(ms // 100):
            self.now_ms += 100
            self.turn_idle()

    def turn_idle(self):
        self.loop._keep_time()
        while not self.events.empty():
            self.loop.turn()

    def opened(self, kind, raw):
        return parse_as(kind, self.hub.opened(raw, NODE))


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path / "state")
    yield made
    made.outbox.close()


@pytest.fixture
def wall(tmp_path):
    made = Bench(tmp_path / "state", simulated=False)
    yield made
    made.outbox.close()


def test_an_instant_is_stored_shown_sent_and_answered(bench):
    bench.turn(Connected(), Instant(10_000, False))
    kid = PV.public.kid.hex()
    assert bench.barrier.answers == [(10_000, {kid: {"register": 1, "live": (1 << 32) + 1}})]
    (live,) = [parse_live(cose.parse(raw)) for raw in bench.broker.take("live")]
    assert (live.at_ms, live.power_mw, live.import_uwh) == (10_000, 3600, 0)
    (reading,) = [parse_reading(cose.parse(raw)) for raw in bench.broker.take("register")]
    assert (reading.sequence, reading.at_ms) == (1, 10_000)
    bench.turn(Instant(11_000, False), Instant(11_000, True))
    assert [at_ms for at_ms, _ in bench.barrier.answers] == [10_000, 11_000, 11_000]
    assert [parse_live(cose.parse(raw)).import_uwh for raw in bench.broker.take("live")] == [
        1000,
        1000,
    ]


def test_a_restart_goes_on_where_it_was_stored(bench, tmp_path):
    bench.turn(Instant(10_000, False), Instant(11_000, False))
    bench.outbox.close()
    again = Bench(tmp_path / "state")
    again.turn(Connected(), Instant(11_000, False), Instant(12_000, False))
    lives = [parse_live(cose.parse(raw)) for raw in again.broker.take("live")]
    assert [live.import_uwh for live in lives] == [1000, 2000]
    assert lives[0].sequence == (2 << 32) + 1
    assert again.outbox.head(PV.public.kid, "register").next_sequence == 2
    again.outbox.close()


def test_status_and_hello_come_before_the_backlog(bench):
    bench.broker.is_here = False
    bench.turn(Instant(10_000, False))
    bench.broker.is_here = True
    bench.turn(Connected())
    assert [leaf for leaf, *_ in bench.broker.sent] == ["status", "hello", "register"]
    (_, raw, qos, retain), (_, hello, *_), _ = bench.broker.sent
    status = bench.opened(Status, raw)
    assert (status.node, status.boot_id, status.outbox_rows, retain) == ("dep1", BOOT, 1, True)
    hello = bench.opened(Hello, hello)
    assert (hello.backlog, hello.software, hello.checkpoint) == (1, "gridtally test", "")
    (head,) = hello.heads
    assert (head.kid, head.next_sequence, head.first_held) == (PV.public.kid, 2, 1)
    assert qos == 1


def test_a_receipt_is_taken_and_shown_in_the_next_hello(bench):
    bench.turn(Connected(), Instant(10_000, False))
    (raw,) = bench.broker.take("register")
    bench.hub.store(PV.public.kid, "register", 1, raw)
    bench.turn(FromHub("receipt", bench.hub.sign(bench.hub.receipt())))
    assert bench.outbox.rows == 0
    bench.broker.sent.clear()
    bench.pass_time(30_000)
    (hello,) = [bench.opened(Hello, raw) for raw in bench.broker.take("hello")]
    assert hello.checkpoint == bench.hub.checkpoint()


def test_status_goes_out_each_second_and_the_guard_is_kept_alive(bench):
    bench.turn(Connected())
    bench.broker.take("status")
    bench.frames.clear()
    bench.pass_time(10_000)
    assert len(bench.broker.take("status")) == 10
    assert bench.frames.count({"alive": True}) == 25


def test_a_beacon_is_echoed_and_one_after_a_silence_starts_the_drain_anew(bench):
    bench.turn(Connected(), FromHub("beacon", bench.hub.beacon(b"1" * 16)), Instant(10_000, False))
    assert parse_live(cose.parse(bench.broker.take("live")[0])).beacon == b"1" * 16
    bench.broker.sent.clear()
    bench.now_ms += 1000
    bench.turn(FromHub("beacon", bench.hub.beacon(b"2" * 16)))
    assert bench.broker.take("register") == []
    bench.now_ms += 2501
    bench.turn(FromHub("beacon", bench.hub.beacon(b"3" * 16)))
    assert len(bench.broker.take("hello")) == 1
    assert len(bench.broker.take("register")) == 1


def test_a_beacon_of_somebody_else_is_not_echoed(bench, caplog):
    stranger = FakeHub(hub=ed25519("stranger"))
    bench.turn(Connected(), FromHub("beacon", stranger.beacon(b"1" * 16)), Instant(10_000, False))
    assert parse_live(cose.parse(bench.broker.take("live")[0])).beacon == b""
    assert "beacon refused" in caplog.text


def test_leases_go_to_the_guard_as_bytes_and_acks_into_the_outbox(bench):
    bench.turn(Connected(), FromHub("lease", b"any bytes"))
    assert {"lease": b"any bytes"} in bench.frames
    nonces = [bytes([n]) * 16 for n in range(18)]
    bench.turn(*[FromGuard({"nonce": nonce, "boottime_ms": 999}) for nonce in nonces])
    state = {"relay": "heater", "energised": True, "lease_left_ms": 4000, "reason": "deficit"}
    ack = {
        "relay": "heater",
        "sequence": 7,
        "energised": True,
        "outcome": "applied",
        "reason": "deficit",
        "boottime_ms": 999,
    }
    bench.turn(FromGuard({"relays": [state]}), FromGuard({"ack": ack}))
    status = bench.opened(Status, bench.broker.take("status")[-1])
    assert status.nonces == tuple(nonces[:1:-1])
    assert status.relays[0].lease_left_ms == 4000
    (sent,) = [bench.opened(Ack, raw) for raw in bench.broker.take("ack")]
    assert (sent.event, sent.lease_sequence, sent.outcome, sent.boottime_ms) == (
        1,
        7,
        "applied",
        999,
    )
    assert bench.outbox.head(NODE.public.kid, "event").next_sequence == 2
    bench.turn(FromGuard(None))
    status = bench.opened(Status, bench.broker.take("status")[-1])
    assert (status.nonces, status.relays[0].energised) == ((), None)


HEATER = {"relay": "heater", "energised": False, "lease_left_ms": 0, "reason": "start"}


def wish(bench) -> str:
    """What the newest status asks for the heater, which needs two slots of ten seconds a day."""
    bench.pass_time(1_000)
    return bench.opened(Status, bench.broker.take("status")[-1]).relays[0].wish


def test_a_shiftable_load_follows_the_hubs_tariff_by_asking(bench, caplog):
    caplog.set_level("INFO")
    bench.turn(Connected(), FromGuard({"relays": [HEATER]}), Instant(10_000, False))
    assert wish(bench) == "run"
    assert "asks to run, by no tariff" in caplog.text
    dear = Tariff(5, 10_000, 10_000, (9, 9, 1, 1), (0,) * 4, (9, 9, 1, 1))
    bench.turn(FromHub("tariff", bench.hub.sign(dear)))
    assert wish(bench) == "wait"
    assert "asks to wait, by the tariff" in caplog.text
    bench.turn(Instant(30_000, False))
    assert wish(bench) == "run"
    bench.turn(Instant(50_000, False))  # the tariff says nothing of now: it is old
    assert wish(bench) == "run"
    assert bench.frames.count({"lease": b""}) == 0


def test_a_tariff_of_somebody_else_or_another_network_is_refused(bench, caplog):
    bench.turn(Connected(), FromGuard({"relays": [HEATER]}), Instant(10_000, False))
    dear = Tariff(5, 10_000, 10_000, (9, 9, 1, 1), (0,) * 4, (9, 9, 1, 1))
    stranger = FakeHub(hub=ed25519("stranger"))
    bench.turn(FromHub("tariff", stranger.sign(dear)))
    bench.turn(FromHub("tariff", sign_entry(bench.hub.hub, dear, b"o" * 32)))
    bench.turn(FromHub("tariff", b"junk"))
    assert wish(bench) == "run"
    assert caplog.text.count("tariff refused") == 3


def test_a_balance_request_is_told(bench, caplog):
    caplog.set_level("INFO")
    bench.turn(FromHub("request", bench.hub.sign(Request(0, 40_000, "deficit"))))
    assert "the hub says: deficit of 40000 mW" in caplog.text
    bench.turn(FromHub("request", b""), FromHub("something else", b""))


def test_a_device_that_is_away_is_said_once_and_holds_nobody_up(bench, caplog):
    caplog.set_level("INFO")
    bench.chip.error = BusTimeout("no reply")
    bench.turn(Connected(), *[Instant(at_ms, False) for at_ms in (10_000, 11_000, 12_000)])
    assert [at_ms for at_ms, _ in bench.barrier.answers] == [10_000, 11_000, 12_000]
    assert bench.broker.take("live") == []
    bench.chip.error = None
    bench.turn(Instant(13_000, False))
    told = [each.getMessage() for each in caplog.records if "meter pv" in each.getMessage()]
    assert told == [
        "meter pv: no reply; asking again until it answers",
        "meter pv answers again, after 3 failures",
    ]


def test_a_bus_that_hangs_holds_up_an_instant_for_its_budget_only(bench):
    bench.bus.held = []
    bench.turn(Instant(10_000, False))
    assert bench.barrier.answers == []
    bench.pass_time(2900)
    assert bench.barrier.answers == []
    bench.pass_time(100)
    assert bench.barrier.answers == [(10_000, {})]
    bench.turn(Connected(), Instant(11_000, False))
    assert len(bench.bus.held) == 1, "a bus that is still reading is not asked again"
    assert bench.barrier.answers[-1][0] == 11_000
    bench.bus.sweep(bench.bus.held.pop())
    bench.turn()
    assert bench.broker.take("live") == [], "an answer to an earlier instant is worth nothing"
    bench.bus.held = None
    bench.turn(Instant(12_000, False))
    assert len(bench.broker.take("live")) == 1


def test_a_late_answer_to_the_present_instant_is_taken(bench):
    bench.bus.held = []
    bench.turn(Connected(), Instant(10_000, False))
    bench.pass_time(3000)
    bench.bus.sweep(bench.bus.held.pop())
    bench.turn()
    assert len(bench.broker.take("register")) == 1
    assert len(bench.barrier.answers) == 1


def test_the_broker_is_said_once_to_be_away(bench, caplog):
    caplog.set_level("INFO")
    bench.turn(Disconnected("refused"), Disconnected("refused"), Connected(), Disconnected("gone"))
    told = [each.getMessage() for each in caplog.records if "the broker" in each.getMessage()]
    assert told == [
        "the broker is away: refused; trying again until it is back",
        "the broker is there",
        "the broker is away: gone; trying again until it is back",
    ]


def test_a_dead_thread_ends_the_process(bench):
    with pytest.raises(EdgeError, match="the thread of bus i2c1 ended"):
        bench.turn(ThreadEnded("bus i2c1"))


# the wall clock


def test_instants_lie_on_the_common_grid(wall):
    wall.turn_idle()
    wall.turn(Connected())
    wall.pass_time(3000)
    lives = [parse_live(cose.parse(raw)) for raw in wall.broker.take("live")]
    assert [live.at_ms for live in lives] == [1_001_000, 1_002_000, 1_003_000]


def test_a_late_loop_skips_instants_and_bridges_them(wall):
    wall.turn(Connected())
    wall.pass_time(1000)
    wall.now_ms += 2350
    wall.turn_idle()
    lives = [parse_live(cose.parse(raw)) for raw in wall.broker.take("live")]
    assert [live.at_ms for live in lives] == [1_001_000, 1_003_000]
    assert lives[-1].import_uwh == 2000


def test_without_a_synchronised_clock_no_register_is_signed(wall, caplog):
    caplog.set_level("INFO")
    wall.synchronised = False
    wall.turn_idle()
    wall.turn(Connected())
    wall.pass_time(12_000)
    assert wall.outbox.rows == 0
    assert len(wall.broker.take("live")) == 12
    wall.synchronised = True
    wall.pass_time(20_000)
    readings = [parse_reading(cose.parse(raw)) for raw in sorted(set(wall.broker.take("register")))]
    assert [reading.at_ms for reading in readings] == [1_020_000, 1_030_000]
    assert readings[0].import_uwh == 19_000, "what flowed before is counted"
    told = [each.getMessage() for each in caplog.records if "clock" in each.getMessage()]
    assert told == [
        "the clock is not synchronised: no reading is signed until it is",
        "the clock is synchronised: readings are signed",
    ]


def test_a_trusted_clock_is_not_asked(tmp_path):
    bench = Bench(tmp_path / "state", simulated=False, trust_clock=True)
    bench.synchronised = False
    bench.turn_idle()
    bench.pass_time(10_000)
    assert bench.outbox.rows == 2
    bench.outbox.close()


def test_a_clock_that_is_set_loses_no_energy(wall, caplog):
    wall.turn_idle()
    wall.turn(Connected())
    wall.pass_time(2000)
    wall.offset_ms = 365 * 86_400_000
    wall.pass_time(3000)
    lives = [parse_live(cose.parse(raw)) for raw in wall.broker.take("live")]
    assert [live.import_uwh for live in lives] == [0, 1000, 2000, 3000, 4000]
    assert "the clock was set by 31536000000 ms" in caplog.text


def test_live_samples_leave_totals_out_while_the_disk_fails(wall, monkeypatch):
    from edge.errors import OutboxFull

    def fail(batch):
        raise OutboxFull("full")

    wall.turn_idle()
    wall.turn(Connected())
    wall.pass_time(1000)
    monkeypatch.setattr(wall.outbox, "commit", fail)
    wall.pass_time(1000)
    monkeypatch.undo()
    wall.pass_time(1000)
    lives = [parse_live(cose.parse(raw)) for raw in wall.broker.take("live")]
    assert [(live.power_mw, live.import_uwh) for live in lives] == [
        (3600, 0),
        (3600, None),
        (3600, 2000),
    ]


def test_run_ends_when_it_is_told_to_and_empties_its_status(bench):
    told = []
    bench.loop.stop()
    bench.loop.run(told.append)
    assert told == ["READY=1"]
    assert bench.broker.sent == [("status", b"", 1, True)]


def test_parts_are_plain_data(bench):
    assert replace(bench.loop._parts, software="x").software == "x"
