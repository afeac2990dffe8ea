"""The loop with everything wired but broker and clock: turn by turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.app import Hub
from hub.errors import StorageFull
from hub.inbox import Inbox
from hub.ledger.ballast import Ballast
from hub.ledger.store import Store
from hub.link.arrivals import Arrival, Arrivals
from hub.starting import Opened
from messages.receipt import Receipt, Refusal
from messages.status import Beacon
from tests.support.hub_bench import START_MS, Bench

TURNS_MAX = 60


class Loop:
    """A hub whose turns a test takes, with a link that keeps what was sent."""

    def __init__(self, bench: Bench, opened: Opened) -> None:
        self.bench, self.opened = bench, opened
        self.arrivals: Arrivals | None = None
        self.hub = Hub(opened, self._connect)
        self.hub.start()

    def _connect(self, arrivals: Arrivals) -> object:
        self.arrivals = arrivals
        return self.bench.link

    def put(self, *arrivals: Arrival) -> None:
        assert self.arrivals is not None
        urgent = ("live", "ack", "hello", "status")
        for arrival in arrivals:
            self.arrivals.put(arrival, urgent=arrival.channel in urgent)

    def turn_until(self, what: Callable[[], bool]) -> None:
        for _ in range(TURNS_MAX):
            self.hub.turn()
            if what():
                return
        raise AssertionError(f"not within {TURNS_MAX} turns")

    @property
    def size(self) -> int:
        return self.opened.recorder.store.size

    def health(self) -> dict[str, object]:
        path = self.bench.folder / "health.json"
        body = json.loads(path.read_text()) if path.exists() else {}
        assert isinstance(body, dict)
        return body


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    opened = made.open()
    made.enrol(made.spine(opened))
    opened.close()
    made.link.sent.clear()
    return made


@pytest.fixture
def loop(bench: Bench) -> Iterator[Loop]:
    opened = bench.open()
    made = Loop(bench, opened)
    yield made
    opened.close()


def test_readings_become_entries_and_receipts(bench: Bench, loop: Loop) -> None:
    size = loop.size
    loop.put(*bench.readings(START_MS, 0))
    loop.turn_until(lambda: loop.size == size + 3)
    assert len(bench.take_sent(loop.opened, Receipt)) == 1


def test_a_beacon_goes_out_at_once(bench: Bench, loop: Loop) -> None:
    loop.hub.turn()
    (beacon,) = bench.take_sent(loop.opened, Beacon)
    assert len(beacon.beacon) == 16


def test_health_is_written_and_names_what_is_known(bench: Bench, loop: Loop) -> None:
    loop.put(bench.hello(loop.opened, backlog=3))
    loop.turn_until(lambda: bool(loop.health()))
    health = loop.health()
    assert health["accepting"] is True
    assert health["tree_size"] == loop.size
    assert health["root"] == loop.opened.recorder.store.root().hex()
    (node,) = health["nodes"]  # type: ignore[misc]
    assert (node["node"], node["backlog"]) == ("dep1", 3)  # type: ignore[index]


def test_health_names_the_meters_that_their_node_corrects(bench: Bench, loop: Loop) -> None:
    loop.put(bench.calibration(loop.opened, "load", 12_000))
    loop.turn_until(lambda: bool(loop.health().get("calibrations")))
    assert loop.health()["calibrations"] == [
        {
            "meter_id": "load",
            "at_ms": START_MS,
            "power_gain_ppm": 12_000,
            "power_offset_mw": 0,
            "entry_index": loop.size - 1,
        }
    ]
    loop.put(bench.calibration(loop.opened, "load", 0))
    loop.turn_until(lambda: loop.health().get("calibrations") == [])


def test_the_inbox_is_served(bench: Bench, loop: Loop) -> None:
    from hub.commands.enrolling import sign_as_administrator
    from messages.entries import KeyEntry
    from tests.support.signers import ed25519

    entry = KeyEntry("enrol", "node", "dep2", ed25519("dep2").public.cose_key, member="bob")
    good, *_ = sign_as_administrator(bench.config, [entry])
    inbox = Inbox(bench.folder)
    taken, refused = inbox.put(good), inbox.put(b"junk")
    loop.turn_until(lambda: inbox.outcome(refused) is not None)
    assert inbox.outcome(taken) == ""
    assert inbox.outcome(refused)
    bench.link.sent.clear()
    loop.turn_until(lambda: bool(bench.link.sent))
    assert {topic.split("/")[2] for topic, _ in bench.link.sent} == {"dep1", "dep2"}


def test_a_node_that_knows_more_stops_the_hub(bench: Bench, loop: Loop) -> None:
    opened = loop.opened
    loop.put(*bench.readings(START_MS, 0))
    size = loop.size
    loop.turn_until(lambda: loop.size == size + 3)
    (receipt,) = bench.take_sent(opened, Receipt)
    opened.recorder.store.check_seen = _behind(opened.recorder.store)  # type: ignore[method-assign]
    loop.put(bench.hello(opened, checkpoint=receipt.checkpoint))
    loop.turn_until(lambda: loop.health().get("accepting") is False)
    assert "old copy" in str(loop.health()["alarms"])
    bench.link.sent.clear()
    loop.put(*bench.readings(START_MS + 60_000, 5))
    for _ in range(3):
        loop.hub.turn()
    assert loop.size == size + 3
    assert bench.take_sent(opened, Receipt) == []


def _behind(store: Store) -> Callable[[int, bytes, str], None]:
    """As if the ledger were shorter than what is shown."""
    real = store.check_seen
    return lambda size, root, source: real(size + 100, root, source)


def test_a_full_disk_pauses_it_and_room_lets_it_go_on(
    bench: Bench, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = loop.opened.recorder.store

    def refuse(*_arguments: object, **_options: object) -> range:
        raise StorageFull("the disk is full")

    monkeypatch.setattr(Ballast, "is_low", lambda _: False)
    monkeypatch.setattr(store, "append", refuse)
    size = loop.size
    readings = bench.readings(START_MS, 0)
    loop.put(*readings)
    loop.turn_until(lambda: loop.health().get("accepting") is False)
    assert loop.health()["alarms"] == ["the disk is full"]
    bench.link.sent.clear()
    loop.put(*readings)
    monkeypatch.setattr(Ballast, "is_low", lambda _: True)
    loop.hub.turn()
    assert bench.take_sent(loop.opened, Receipt) == []
    monkeypatch.undo()
    loop.turn_until(lambda: loop.health().get("accepting") is True)
    loop.put(*readings)
    loop.turn_until(lambda: loop.size == size + 3)


def test_stopping_signs_for_everything(bench: Bench, loop: Loop) -> None:
    bench.link.is_open = False
    size = loop.size
    loop.put(*bench.readings(START_MS, 0))
    loop.turn_until(lambda: loop.size == size + 3)
    loop.hub.stop()
    newest = loop.opened.recorder.store.newest_checkpoint()
    assert newest is not None
    assert newest.size == loop.size


def test_what_is_refused_is_counted_in_the_file(bench: Bench, loop: Loop) -> None:
    loop.put(Arrival("dep1", "register", b"\xff"))
    loop.turn_until(lambda: loop.health().get("refused") == {"malformed": 1})
    assert len(bench.take_sent(loop.opened, Refusal)) == 1
