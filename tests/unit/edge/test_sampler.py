import threading

import pytest

from edge.inbound import Sampled, ThreadEnded
from edge.sampler import BusThread, Device, Rhythm
from edge.sweep import Devices
from hardware.errors import BadChecksum, BusTimeout, BusUnavailable, DeviceAbsent, WrongDevice
from hardware.health import DeviceHealth
from hardware.ports import Sample

SAMPLE = Sample(1, None, None, None, None, None)


class Meter:
    """Answers what is in its list, the last entry for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.reads = 0
        self.is_closed = False

    def sample(self):
        self.reads += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        self.is_closed = True


class Bus:
    hands = 1

    def __init__(self):
        self.is_closed = False
        self.devices = {}

    def health(self):
        return self.devices

    def close(self):
        self.is_closed = True


class Bench:
    def __init__(self, period_s=None, **meters):
        self.meters, self.bus, self.heard, self.now_s = meters, Bus(), [], 0.0
        self.thread = BusThread(
            "i2c1",
            self.bus,
            [Device(name, meter) for name, meter in meters.items()],
            self.heard.append,
            rhythm=Rhythm(period_s),
            clock_s=lambda: self.now_s,
        )

    def sweep(self):
        self.heard.clear()
        self.thread.sweep(7)
        return {each.meter_id: each.error or each.sample for each in self.heard}


def test_every_device_answers_with_the_token():
    bench = Bench(a=Meter(SAMPLE), b=Meter(SAMPLE))
    bench.sweep()
    assert bench.heard == [Sampled(7, "a", SAMPLE, None), Sampled(7, "b", SAMPLE, None)]


@pytest.mark.parametrize("torn", [BadChecksum("torn"), DeviceAbsent("a loose wire")])
def test_what_fails_quickly_is_tried_twice_more(torn):
    assert Bench(a=Meter(torn, torn, SAMPLE)).sweep() == {"a": SAMPLE}
    bench = Bench(a=Meter(torn))
    assert bench.sweep() == {"a": torn}
    assert bench.meters["a"].reads == 3


class Slow(Meter):
    """Takes its time, on the bench's clock."""

    def __init__(self, bench, takes_s, *answers):
        super().__init__(*answers)
        self.bench, self.takes_s = bench, takes_s

    def sample(self):
        self.bench.now_s += self.takes_s
        return super().sample()


def test_what_fails_after_a_long_time_is_not_tried_again():
    """Half a reply is waited for as long as a whole one: three times would cost the others."""
    bench = Bench(a=Meter(SAMPLE))
    half = BadChecksum("half a frame")
    bench.thread._devices[0].meter = slow = Slow(bench, 0.6, half)
    assert bench.sweep() == {"a": half}
    assert slow.reads == 1


@pytest.mark.parametrize("error", [BusTimeout("late"), BusUnavailable("no"), WrongDevice("odd")])
def test_what_fails_slowly_or_for_good_is_tried_once(error):
    bench = Bench(a=Meter(error, SAMPLE))
    assert bench.sweep() == {"a": error}
    assert bench.meters["a"].reads == 1


def test_one_that_failed_comes_last_and_is_left_alone_ever_longer():
    bench = Bench(a=Meter(BusTimeout("late")), b=Meter(SAMPLE))
    reads = []
    for _ in range(90):
        bench.sweep()
        if len(reads) > 0:
            assert [each.meter_id for each in bench.heard] == ["b", "a"]
        reads.append(bench.meters["a"].reads)
        bench.now_s += 1.0
    assert bench.meters["b"].reads == 90
    moments = [place for place in range(1, 90) if reads[place] > reads[place - 1]]
    assert moments[:6] == [1, 2, 3, 5, 9, 17]
    assert moments[6:] == [33, 63]
    assert bench.heard[-1] == Sampled(7, "a", None, None), "left alone is no failure"


@pytest.mark.parametrize(("takes_s", "reads"), [(0.6, 9), (0.8, 3)])
def test_a_silent_one_is_asked_only_if_its_timeout_fits_before_the_next_instant(takes_s, reads):
    """0.8 s never fit behind 0.3 s of others: then it costs an instant in thirty seconds."""
    bench = Bench(period_s=1.0, a=Meter(SAMPLE), b=Meter(SAMPLE))
    silent = Slow(bench, takes_s, BusTimeout("late"))
    busy = Slow(bench, 0.3, SAMPLE)
    bench.thread._devices[0].meter, bench.thread._devices[1].meter = silent, busy
    missed = 0
    for instant in range(90):
        if bench.now_s > instant:
            missed += 1
            continue
        bench.now_s = float(instant)
        bench.sweep()
    assert silent.reads == reads
    assert (missed, busy.reads) == ((0, 90) if takes_s == 0.6 else (reads, 90 - reads))


def test_several_are_asked_at_once_where_the_bus_has_use_for_it():
    """Each of three answers only while the other two are being asked too."""
    together = threading.Barrier(3, timeout=5)

    class Resting(Meter):
        def sample(self):
            together.wait()
            return super().sample()

    bench = Bench(a=Resting(SAMPLE), b=Resting(SAMPLE), c=Resting(SAMPLE))
    bench.bus.hands = 3
    assert bench.sweep() == {"a": SAMPLE, "b": SAMPLE, "c": SAMPLE}
    assert [each.meter_id for each in bench.heard] == ["a", "b", "c"]


def test_a_line_that_damages_replies_is_told_once(caplog):
    bench = Bench(a=Meter(SAMPLE))
    bench.bus.devices = {7: DeviceHealth(200, 197, 0, 3, 0), 8: DeviceHealth(300, 297, 0, 3, 0)}
    bench.sweep()
    bench.sweep()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert told[0].startswith("bus i2c1, device 7: 3 of 200 replies were damaged: check wiring")


def test_one_that_is_back_is_read_at_once_again():
    late = BusTimeout("late")
    bench = Bench(a=Meter(late, late, late, late, SAMPLE, late, SAMPLE))
    assert [bench.sweep()["a"] for _ in range(4)] == [late] * 4
    bench.now_s += 2.0
    assert bench.sweep() == {"a": SAMPLE}
    assert bench.sweep() == {"a": late}
    assert bench.sweep() == {"a": SAMPLE}


def test_a_wrong_device_is_left_alone_for_long():
    bench = Bench(a=Meter(WrongDevice("another chip"), SAMPLE))
    bench.sweep()
    bench.now_s += 29.9
    assert bench.sweep() == {"a": None}
    bench.now_s += 0.2
    assert bench.sweep() == {"a": SAMPLE}


def test_the_thread_samples_when_asked_and_closes_when_told():
    bench = Bench(a=Meter(SAMPLE))
    bench.thread.start()
    bench.thread.ask(1)
    bench.thread.ask(2)
    bench.thread.stop()
    assert [each.token for each in bench.heard] == [1, 2]
    assert bench.bus.is_closed
    assert bench.meters["a"].is_closed


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_a_driver_ends_the_thread_and_says_so():
    bench = Bench(a=Meter(ZeroDivisionError("a bug")))
    bench.thread.start()
    bench.thread.ask(1)
    bench.thread._thread.join(5)
    assert bench.heard == [ThreadEnded("bus i2c1")]


def test_a_device_that_is_silent_at_night_is_no_warning(caplog):
    caplog.set_level("INFO")
    bench = Bench(a=Meter(SAMPLE))
    devices = Devices([bench.thread], frozenset({"a"}))
    devices.take(Sampled(1, "a", None, BusTimeout("no reply")), None)
    devices.take(Sampled(1, "b", None, BusTimeout("no reply")), None)
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
