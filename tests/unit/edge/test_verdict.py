"""What is said of a relay, from the powers in its three positions."""

from __future__ import annotations

import pytest

from edge.relaytest.verdict import Level, Wiring, judge

FED = Wiring("heater", "fed", "m", 40_000)
CUT = Wiring("heater", "cut", "m", 40_000)
NONE = Wiring("heater", "fed", "", 40_000)


def judged(wiring, *powers_mw, spread=0, **others):
    """Judge powers of meter m: released, energised, released again; and of other meters."""
    positions = [{"m": Level(power, spread)} for power in powers_mw]
    for name, course in others.items():
        for position, power in zip(positions, course, strict=True):
            position[name] = Level(power)
    return judge(wiring, *positions)


@pytest.mark.parametrize(
    ("wiring", "powers_mw", "kind"),
    [
        (FED, (36_000, 0, 36_000), "works"),
        (CUT, (0, 36_000, 0), "works"),
        (FED, (-36_000, 0, -36_000), "works"),  # a meter built in backwards
        (FED, (36_000, 800, 2_000), "works"),  # 1.2 W of 40 W is enough to see
        (FED, (0, 36_000, 0), "reversed"),
        (CUT, (36_000, 0, 36_000), "reversed"),
        (FED, (36_000, 0, 0), "welded"),
        (CUT, (0, 36_000, 36_000), "welded"),
        (CUT, (36_000, 36_000, 36_000), "welded"),
        (FED, (36_000, 36_000, 36_000), "not_following"),
        (CUT, (0, 0, 0), "not_following"),
        (FED, (0, 0, 0), "unseen"),
        (FED, (36_000, 36_000, 0), "unclear"),
        (FED, (0, 36_000, 36_000), "unclear"),
        (FED, (36_000, 18_000, 0), "unclear"),
        (CUT, (0, 0, 36_000), "unclear"),
    ],
)
def test_each_course_of_power_has_its_verdict(wiring, powers_mw, kind):
    verdict = judged(wiring, *powers_mw)
    assert verdict.kind == kind
    assert verdict.works is (kind == "works")
    assert f"{abs(powers_mw[1]) / 1000:.2f} W energised" in verdict.words


@pytest.mark.parametrize(
    ("powers_mw", "spread", "kind"),
    [
        ((800, 0, 800), 0, "works"),  # a fiftieth of what is rated
        ((799, 0, 799), 0, "unseen"),
        ((800, 0, 800), 401, "unseen"),  # noise of that size proves nothing
    ],
)
def test_a_change_has_to_be_more_than_chance(powers_mw, spread, kind):
    assert judged(FED, *powers_mw, spread=spread).kind == kind


def test_a_small_load_has_to_be_more_than_the_noise_of_a_shunt():
    small = Wiring("lamp", "fed", "m", 1_000)
    assert judged(small, 50, 0, 50).kind == "works"
    assert judged(small, 49, 0, 49).kind == "unseen"


@pytest.mark.parametrize(
    ("wiring", "powers_mw", "words"),
    [
        (FED, (0, 36_000, 0), 'write deenergised = "cut" and enrol the node again'),
        (CUT, (36_000, 0, 36_000), 'write deenergised = "fed" and enrol the node again'),
        (FED, (36_000, 0, 0), "sticks or is welded"),
        (CUT, (36_000, 36_000, 36_000), "welded, or the load is wired past it"),
        (FED, (36_000, 36_000, 36_000), "does not follow the coil"),
        (CUT, (0, 0, 0), "or the load itself is switched off"),
        (FED, (0, 0, 0), "the meter m does not see this load, or the load itself is switched off"),
        (FED, (46_000, 10_000, 46_000), "With the load cut 10.00 W are left"),
        (CUT, (10_000, 46_000, 10_000), "With the load cut 10.00 W are left"),
    ],
)
def test_the_words_say_what_to_do(wiring, powers_mw, words):
    assert words in judged(wiring, *powers_mw).words


@pytest.mark.parametrize("own", [(0, 0, 0), (5_000, 5_000, 5_000)])
@pytest.mark.parametrize("wiring", [FED, CUT])
def test_another_meter_that_follows_shows_that_the_load_meter_is_the_wrong_one(wiring, own):
    course = (86_000, 50_000, 86_000) if wiring is FED else (50_000, 86_000, 50_000)
    verdict = judged(wiring, *own, house=course)
    assert verdict.kind == "unseen"
    assert "the meter m does not see this load" in verdict.words
    assert "but house follows the relay: " in verdict.words
    turned = judged(wiring, *own, house=tuple(-power for power in course))
    assert "house follows the relay, the other way round: " in turned.words


@pytest.mark.parametrize(
    "course",
    [(86_000, 50_000, 50_000), (86_000, 50_000, 60_000), (50_000, 50_100, 50_000)],
)
def test_another_load_that_comes_or_goes_meanwhile_is_no_proof(course):
    assert judged(CUT, 0, 0, 0, house=course).kind == "not_following"
    assert judged(FED, 9_000, 9_000, 9_000, house=course).kind == "not_following"


def test_another_meter_does_not_overrule_the_load_meter():
    assert judged(FED, 36_000, 0, 36_000, house=(5, 50_000, 5)).kind == "works"


def test_without_a_load_meter_a_person_has_to_look():
    verdict = judge(NONE, {}, {}, {})
    assert (verdict.kind, verdict.works) == ("unmetered", False)
    assert "look yourself whether the load was fed, then cut, then fed again" in verdict.words
    assert "By the way" not in verdict.words
    house = [{"house": Level(power)} for power in (86_000, 50_000, 86_000)]
    hint = judge(NONE, *house).words
    assert hint.endswith(
        "By the way: house follows the relay: 86.00 W released, 50.00 W energised, 86.00 W "
        "released again"
    )


def test_a_meter_that_fell_silent_is_left_out():
    positions = [{"house": Level(86_000)}, {"house": Level(50_000)}, {}]
    assert "By the way" not in judge(NONE, *positions).words
