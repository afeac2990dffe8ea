from dataclasses import replace

from edge.agent import Packing, Point
from edge.measuring import Measuring, SigningMeter
from edge.outbox_records import Draft
from edge.register import Meter, Register
from hardware.ports import Sample
from messages import cose, sealed
from messages.live import parse_live
from messages.reading import decode_reading, parse_reading
from messages.telemetry import parse_pack
from tests.support.signers import ed25519

PV, LOAD = ed25519("pv"), ed25519("load")
PACKING = Packing(1000, 10_000, 60)


def sign_reset(meter_id, reset, at_ms):
    return Draft(b"node", "event", lambda n: f"{meter_id} {reset.epoch} {at_ms} {n}".encode())


def measuring(*, counters=False, new_salt=None):
    meter = Meter("bench", "pv", counters, False, 100_000, 5000)
    return Measuring(
        [SigningMeter(meter, PV), SigningMeter(replace(meter, meter_id="load"), LOAD)],
        PACKING,
        3,
        sign_reset,
        new_salt,
    )


def dc(power_mw):
    return Sample(power_mw, None, None, 12_000, 100, None)


def ac(import_uwh):
    return Sample(0, import_uwh, 0, 230_000, 0, 50_000)


def streams(taken):
    return [(draft.kid, draft.stream) for draft in taken.batch.drafts]


def test_a_slot_leaves_packs_before_its_edge_and_registers_at_it():
    measured = measuring()
    for second in range(9):
        taken = measured.take(second * 1000, {"pv": dc(3600), "load": dc(0)}, dated=True)
        expected = [(PV.public.kid, "register"), (LOAD.public.kid, "register")]
        assert streams(taken) == (expected if second == 0 else [])
        assert [meter_id for meter_id, _ in taken.batch.points] == ["pv", "load"]
    taken = measured.take(9000, {"pv": dc(3600), "load": dc(0)}, dated=True)
    assert streams(taken) == [(PV.public.kid, "telemetry"), (LOAD.public.kid, "telemetry")]
    assert taken.batch.packed == (("pv", 9000), ("load", 9000))
    pack = parse_pack(cose.parse(taken.batch.drafts[0].sign(1)))
    assert (pack.sequence, pack.t0_ms, pack.last_ms) == (1, 0, 9000)
    assert pack.columns[pack.names.index("import_uwh")] == tuple(range(0, 10_000, 1000))
    taken = measured.take(10_000, {"pv": dc(3600), "load": dc(0)}, dated=True)
    reading = parse_reading(cose.parse(taken.batch.drafts[0].sign(2)))
    assert (reading.sequence, reading.at_ms, reading.import_uwh) == (2, 10_000, 10_000)
    assert taken.batch.registers["pv"].kept_ms == 10_000


def test_a_sealed_reading_commits_under_its_own_salt_each_time():
    salts = iter((b"1" * 32, b"2" * 32))
    taken = measuring(new_salt=lambda: next(salts)).take(
        0, {"pv": dc(5), "load": dc(5)}, dated=True
    )
    signed = [sealed.split(draft.sign(1)) for draft in taken.batch.drafts]
    assert [preimage[3:35] for _, preimage in signed] == [b"1" * 32, b"2" * 32]
    for (message, preimage), (signer, meter_id) in zip(
        signed, ((PV, "pv"), (LOAD, "load")), strict=True
    ):
        envelope = cose.parse(message)
        cose.verify(envelope, signer.public)
        assert decode_reading(cose.open_sealed(envelope, preimage)).meter_id == meter_id


def test_the_same_instant_again_leaves_nothing_but_live():
    measured = measuring()
    measured.take(10_000, {"pv": dc(3600)}, dated=True)
    again = measured.take(10_000, {"pv": dc(0)}, dated=True)
    assert again.batch.drafts == ()
    assert again.batch.points == ()
    assert again.batch.registers["pv"].power_mw == 0
    assert [shown.sample.power_mw for shown in again.shown] == [0]


def test_after_a_restart_at_the_same_instant_nothing_is_signed_twice():
    measured = measuring()
    first = measured.take(10_000, {"pv": dc(3600)}, dated=True)
    restarted = measuring()
    restarted.recall(first.batch.registers, {"pv": [point for _, point in first.batch.points]})
    again = restarted.take(10_000, {"pv": dc(3600)}, dated=True)
    assert again.batch.drafts == ()
    assert again.batch.points == ()
    after = restarted.take(11_000, {"pv": dc(3600)}, dated=True)
    assert after.batch.registers["pv"].import_uwh == 1000


def test_points_of_before_a_restart_go_into_the_next_pack():
    measured = measuring()
    points = [Point(second * 1000, (second,) * 6) for second in (3, 4)]
    measured.recall({}, {"pv": points})
    taken = measured.take(9000, {"pv": dc(5)}, dated=True)
    (draft,) = taken.batch.drafts
    pack = parse_pack(cose.parse(draft.sign(1)))
    assert pack.columns[0] == (3, 4, None, None, None, None, 5)


def test_without_a_clock_nothing_is_dated_but_energy_is_counted():
    measured = measuring()
    for second in range(12):
        taken = measured.take(second * 1000, {"pv": dc(3600)}, dated=False)
        assert taken.batch.drafts == ()
        assert taken.batch.points == ()
    assert taken.batch.registers["pv"].import_uwh == 11_000
    assert len(taken.shown) == 1
    dated = measured.take(20_000, {"pv": dc(3600)}, dated=True)
    assert "gap" in parse_reading(cose.parse(dated.batch.drafts[0].sign(1))).quality


def test_a_clock_that_was_set_moves_the_registers_along():
    measured = measuring()
    measured.take(1000, {"pv": dc(3600)}, dated=False)
    measured.shift(1_000_000)
    taken = measured.take(1_002_000, {"pv": dc(3600)}, dated=True)
    assert taken.batch.registers["pv"].import_uwh == 1000
    assert taken.batch.registers["pv"].doubts == ()


def test_a_device_that_is_away_leaves_its_last_pack_and_no_register():
    measured = measuring()
    measured.take(8000, {"pv": dc(1), "load": dc(1)}, dated=True)
    late = measured.take(9000, {"load": dc(1)}, dated=True)
    assert streams(late) == [(LOAD.public.kid, "telemetry")], "pv may still answer for 9000"
    edge = measured.take(10_000, {"load": dc(1)}, dated=True)
    assert streams(edge) == [(LOAD.public.kid, "register"), (PV.public.kid, "telemetry")]
    assert edge.batch.packed == (("pv", 8000),)


def test_a_late_answer_joins_its_instant():
    measured = measuring()
    measured.take(8000, {"pv": dc(1), "load": dc(1)}, dated=True)
    measured.take(9000, {"load": dc(1)}, dated=True)
    late = measured.take(9000, {"pv": dc(2)}, dated=True)
    (draft,) = late.batch.drafts
    assert parse_pack(cose.parse(draft.sign(1))).columns[0] == (1, 2)


def test_doubts_go_with_the_next_register_and_end_there():
    measured = measuring()
    measured.take(1000, {"pv": dc(1)}, dated=True)
    measured.take(9000, {"pv": dc(1)}, dated=True)
    first = measured.take(10_000, {"pv": dc(1)}, dated=True).batch.drafts[0]
    assert parse_reading(cose.parse(first.sign(1))).quality == "gap"
    for second in range(11, 20):
        measured.take(second * 1000, {"pv": dc(1)}, dated=True)
    second = measured.take(20_000, {"pv": dc(1)}, dated=True).batch.drafts[0]
    assert parse_reading(cose.parse(second.sign(2))).quality == ""


def test_a_reset_is_signed_by_the_node_before_the_new_register():
    measured = measuring(counters=True)
    measured.take(8000, {"pv": ac(100)}, dated=True)
    measured.take(9000, {"pv": ac(5)}, dated=True)
    taken = measured.take(10_000, {"pv": ac(6)}, dated=True)
    assert streams(taken) == [(b"node", "event"), (PV.public.kid, "register")]
    assert taken.batch.drafts[0].sign(7) == b"pv 1 10000 7"
    assert [(meter_id, reset.epoch) for meter_id, reset in taken.resets] == [("pv", 1)]
    assert parse_reading(cose.parse(taken.batch.drafts[1].sign(1))).epoch == 1


def test_live_samples_count_within_the_boot_and_echo_the_beacon():
    measured = measuring()
    assert measured.live_head("pv") == 0
    (shown,) = measured.take(1000, {"pv": dc(7)}, dated=True).shown
    for n in (1, 2):
        kid, raw = measured.sign_live(shown, b"b" * 16, stored=True)
        live = parse_live(cose.parse(raw))
        assert kid == PV.public.kid
        assert (live.sequence, live.beacon) == ((3 << 32) + n, b"b" * 16)
        assert (live.power_mw, live.import_uwh, live.export_uwh) == (7, 0, 0)
    assert measured.live_head("pv") == (3 << 32) + 2
    _, raw = measured.sign_live(shown, b"", stored=False)
    live = parse_live(cose.parse(raw))
    assert (live.power_mw, live.import_uwh, live.export_uwh) == (7, None, None)


def test_a_restored_outbox_begins_its_integrated_register_anew():
    measured = measuring()
    measured.recall({"pv": Register(10, 20, epoch=4)}, {})
    batch = measured.begin_epoch(PV.public.kid, 9)
    assert batch.registers["pv"].epoch == 5
    assert batch.registers["pv"].doubts == ("restored",)
    assert batch.drafts[0].sign(1) == b"pv 5 9 1"
    assert measured.begin_epoch(b"another", 9).drafts == ()
    assert measuring(counters=True).begin_epoch(PV.public.kid, 9).drafts == ()


def test_every_meter_has_its_key():
    assert measuring().kids() == {"pv": PV.public.kid, "load": LOAD.public.kid}
