"""The page believes only what a registered key signed, and knows how old it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.config import HubConfig, KeyFiles, SlotSettings
from hub.core.records import Calibrated, Meter, Policy, Relay
from hub.core.state import Change, State
from hub.link.arrivals import Arrival
from hub.web.compose import LATE_MS, SILENT_MS, compose_picture
from hub.web.samples import BEACONS_KEPT, Samples
from hub.web.view import CalibrationView
from messages.entries import sign_entry
from messages.lease import Lease
from messages.live import Live, sign_live
from messages.publickey import PublicKey
from messages.status import Beacon, RelayStatus, Request, Status
from messages.trust import Trust
from tests.support.signers import ed25519

NETWORK = bytes(32)
HUB, NODE, PV, LOAD, TIE = (ed25519(name) for name in ("hub", "dep1", "pv", "load", "tie"))
TRUST = Trust(NETWORK, "example/log", "", HUB.public, "", simulation=True)
KEYS: dict[bytes, PublicKey] = {s.public.kid: s.public for s in (HUB, NODE, PV, LOAD, TIE)}
CONFIG = HubConfig(
    microgrid="bench", keys=KeyFiles(log="l", hub="h"), slots=SlotSettings(slot_ms=900_000)
)
BEACON = bytes(range(16))


def samples() -> Samples:
    return Samples(TRUST)


def say(into: Samples, channel: str, raw: bytes, now_ms: int = 0) -> None:
    into.take_in(Arrival("dep1", channel, raw), KEYS, now_ms)


def live(meter_id: str, power_mw: int, sequence: int = 1, beacon: bytes = BEACON) -> bytes:
    signer = {"pv": PV, "load": LOAD, "tie": TIE}[meter_id]
    return sign_live(signer, Live("bench", meter_id, sequence, 60_000, power_mw, beacon=beacon))


def state() -> State:
    made = State()

    def meter(purpose: str, member: str = "dep1", parent: str = "") -> Meter:
        return Meter(b"k", "dep1", member, purpose, parent, "ina219", 1, "")

    made.apply(
        [
            Change("meter", "pv", meter("generation")),
            Change("meter", "load", meter("consumption")),
            Change("meter", "heater-meter", meter("appliance", parent="load")),
            Change("meter", "tie", meter("boundary", member="")),
            Change("meter", "old", meter("net")._replace(is_retired=True)),
            Change("relay", ("dep1", "heater"), Relay("fed", "", "dep1", 1, False, 0, 0)),
            Change("account", "dep1", -5),
            Change("policy", 0, Policy("c", {}, (), (), "d", {}, "totals", b"", 0)),
        ]
    )
    return made


def test_only_the_newest_verified_sample_counts() -> None:
    heard = samples()
    say(heard, "live", live("pv", -1000, sequence=5))
    say(heard, "live", live("pv", -2000, sequence=4))
    forged = live("pv", -9000, sequence=9)
    say(heard, "live", forged[:-1] + bytes((forged[-1] ^ 1,)))
    heard.take_in(Arrival("dep1", "live", live("load", 7)), {}, 0)

    assert {name: h.live.power_mw for name, h in heard.live.items()} == {"pv": -1000}
    assert heard.refused == 2


def test_the_hubs_words_need_the_hubs_key() -> None:
    heard = samples()
    lease = Lease("dep1", "heater", bytes(16), 1, 5000, True, "deficit", 3)
    request = Request(0, 40_000, "deficit")
    for signer in (NODE, HUB):
        say(heard, "lease", sign_entry(signer, lease, NETWORK))
        say(heard, "request", sign_entry(signer, request, NETWORK))
    assert heard.refused == 2
    assert heard.leases == {("dep1", "heater"): (lease, 0)}
    assert heard.request == request


def status(node: str = "dep1", *, left_ms: int = 3000) -> bytes:
    row = RelayStatus("heater", True, left_ms, "")
    return sign_entry(NODE, Status(node, bytes(16), (), (row,), 0, 0, 0), NETWORK)


def test_a_node_speaks_only_for_itself_and_a_last_will_silences_it() -> None:
    heard = samples()
    say(heard, "status", status("other"))
    assert heard.status == {}
    say(heard, "status", status())
    assert list(heard.status) == ["dep1"]
    say(heard, "status", b"")
    assert heard.status == {}


def test_old_beacons_are_forgotten() -> None:
    heard = samples()
    for n in range(BEACONS_KEPT + 1):
        say(heard, "beacon", sign_entry(HUB, Beacon(bytes(15) + bytes((n,))), NETWORK))
    say(heard, "live", live("pv", 1, beacon=bytes(16)))
    assert heard.live["pv"].beacon_ms is None


@pytest.mark.parametrize(
    ("now_ms", "badge", "power_mw"),
    [(0, "signed", -20_000), (LATE_MS, "late", -20_000), (SILENT_MS, "silent", None)],
)
def test_age_makes_the_badge_and_silence_is_not_zero(
    now_ms: int, badge: str, power_mw: int | None
) -> None:
    heard = samples()
    say(heard, "beacon", sign_entry(HUB, Beacon(BEACON), NETWORK))
    say(heard, "live", live("pv", -20_000))
    say(heard, "live", live("load", 60_000))
    picture = compose_picture(CONFIG, TRUST, state(), heard, {}, now_ms)

    (member,) = picture.members
    pv = next(meter for meter in member.meters if meter.meter_id == "pv")
    assert (pv.badge, pv.power_mw, pv.age_ms) == (badge, power_mw, now_ms)
    assert member.net_mw == (None if power_mw is None else 40_000)
    assert "old" not in [meter.meter_id for meter in member.meters]


def test_a_sample_without_a_known_beacon_is_late() -> None:
    heard = samples()
    say(heard, "live", live("pv", -20_000))
    picture = compose_picture(CONFIG, TRUST, state(), heard, {}, 0)
    assert next(m.badge for m in picture.members[0].meters if m.meter_id == "pv") == "late"


def test_the_whole_picture() -> None:
    heard = samples()
    say(heard, "beacon", sign_entry(HUB, Beacon(BEACON), NETWORK))
    for name, power in (("pv", -20_000), ("load", 60_000), ("tie", 40_300)):
        say(heard, "live", live(name, power))
    say(heard, "status", status())
    say(
        heard,
        "lease",
        sign_entry(HUB, Lease("dep1", "heater", bytes(16), 1, 5000, True, "deficit", 3), NETWORK),
    )
    say(heard, "request", sign_entry(HUB, Request(0, 40_000, "deficit"), NETWORK))
    picture = compose_picture(
        CONFIG, TRUST, state(), heard, {"alarms": ["behind"], "refused": {"x": 2}}, 1000
    )

    (member,) = picture.members
    assert (member.generation_mw, member.load_mw, member.net_mw) == (20_000, 60_000, 40_000)
    assert member.account_utok == -5
    assert picture.unaccounted_mw == 300
    (relay,) = member.relays
    assert (relay.fed, relay.energised, relay.lease_left_ms, relay.reason) == (
        False,
        True,
        2000,
        "deficit",
    )
    assert picture.request == "balance request: deficit of 40.0 W"
    assert (picture.alarms, picture.refused, picture.disclosure) == (
        ("behind",),
        {"x": 2},
        "totals",
    )
    assert picture.simulation
    assert picture.at_ms == 60_000


def test_an_unheard_guard_is_not_known() -> None:
    heard = samples()
    say(heard, "status", status())
    picture = compose_picture(CONFIG, TRUST, state(), heard, {}, SILENT_MS)
    assert picture.members[0].relays[0].fed is None
    assert picture.request == ""
    empty = compose_picture(CONFIG, replace(TRUST, simulation=False), State(), samples(), {}, 0)
    assert (empty.members, empty.at_ms, empty.disclosure) == ((), None, "open")


@pytest.mark.parametrize(("since_ms", "device_mw"), [(59_999, 988_142), (60_000, None)])
def test_a_corrected_meter_shows_what_its_device_says_behind_a_sample_taken_since(
    since_ms: int, device_mw: int | None
) -> None:
    heard, known = samples(), state()
    calibrated = Calibrated(since_ms, 12_000, 0, 0, 0, 0, 17)
    known.apply([Change("calibration", "load", calibrated)])
    say(heard, "beacon", sign_entry(HUB, Beacon(BEACON), NETWORK))
    say(heard, "live", live("load", 1_000_000))
    picture = compose_picture(CONFIG, TRUST, known, heard, {}, 0)

    shown = {meter.meter_id: meter.calibration for meter in picture.members[0].meters}
    assert shown.pop("load") == CalibrationView(since_ms, 12_000, 0, device_mw, 17)
    assert set(shown.values()) == {None}
    later = compose_picture(CONFIG, TRUST, known, heard, {}, SILENT_MS)
    (load,) = [meter for meter in later.members[0].meters if meter.meter_id == "load"]
    assert load.calibration is not None
    assert load.calibration.device_mw is None
