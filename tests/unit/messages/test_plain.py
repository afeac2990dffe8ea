"""Topics, slots and trust.toml."""

from __future__ import annotations

from dataclasses import replace

import pytest

from messages import slots, topics
from messages.errors import MalformedMessage
from messages.trust import Trust, format_trust, parse_trust
from tests.support.signers import ed25519


def test_topics_come_back() -> None:
    for leaf in topics.UP:
        assert topics.parse(topics.up("bench", "dep1", leaf)) == topics.Topic(
            "bench", "dep1", True, leaf
        )
    for leaf in topics.DOWN:
        assert topics.parse(topics.down("bench", "dep1", leaf)) == topics.Topic(
            "bench", "dep1", False, leaf
        )
    assert topics.all_up("bench") == "gridtally/bench/+/up/+"
    assert topics.all_down("bench", "dep1") == "gridtally/bench/dep1/down/+"
    assert topics.every_down("bench") == "gridtally/bench/+/down/+"


@pytest.mark.parametrize(
    "topic",
    [
        "gridtally/bench/dep1/up",
        "other/bench/dep1/up/live",
        "gridtally/bench/dep1/side/live",
        "gridtally/bench/dep1/up/lease",
        "gridtally/bench/dep1/down/live",
        "gridtally/bench/DEP/up/live",
        "gridtally/bench/+/up/live",
        "gridtally//dep1/up/live",
        "gridtally/bench/-x/up/live",
        "gridtally/bench/" + "x" * 33 + "/up/live",
    ],
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(MalformedMessage):
        topics.parse(topic)


@pytest.mark.parametrize("name", ["", "a/b", "#", "é", "a b"])
def test_no_topic_is_built_from_a_name_that_would_not_parse(name: str) -> None:
    for build in (topics.up, topics.down):
        with pytest.raises(MalformedMessage):
            build("bench", name, "live" if build is topics.up else "lease")
    with pytest.raises(AssertionError):
        topics.up("bench", "dep1", "lease")


def test_slots_are_half_open_and_aligned() -> None:
    quarter = 900_000
    assert slots.slot_start(quarter - 1, quarter) == 0
    assert slots.slot_start(quarter, quarter) == quarter
    assert slots.next_slot(quarter, quarter) == 2 * quarter
    assert slots.is_edge(quarter, quarter)
    assert not slots.is_edge(quarter + 1, quarter)
    assert slots.next_instant(1000, 1000) == 2000
    assert slots.next_instant(1001, 1000) == 2000
    assert list(slots.instants(1, 4000, 1000)) == [1000, 2000, 3000]
    assert slots.minute_of_day(slots.DAY_MS + 61_000) == 1
    assert not slots.crosses_edge(0, quarter - 1, quarter)
    assert slots.crosses_edge(quarter - 1, quarter, quarter)


TRUST = Trust(
    bytes(range(32)), "example/log", "example/log+00+AA", ed25519("hub").public, "quorum none\n"
)


@pytest.mark.parametrize(
    "trust",
    [
        TRUST,
        replace(TRUST, simulation=True),
        replace(TRUST, origin='a"b\\u0041', policy='# a "quoted" C:\\path\n\n"""\nquorum none\n'),
        replace(TRUST, policy="\ttab \x7f\r\nquorum none"),
    ],
)
def test_trust_comes_back(trust: Trust) -> None:
    assert parse_trust(format_trust(trust)) == trust


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("simulation = false", "simulation = 0", "simulation is true or false"),
        ("simulation = false", "", "missing or unknown: simulation"),
        ("simulation = false", "simulation = false\nmore = 1", "missing or unknown: more"),
        ('network_id = "00', 'network_id = "', "32 bytes"),
        ('network_id = "00', 'network_id = "zz', "network_id or hub_key"),
        ('hub_key = "a3', 'hub_key = "a2', "network_id or hub_key"),
        ('origin = "example/log"', "origin = 5", "is a text"),
        ("origin =", "origin", "trust.toml"),
    ],
)
def test_other_trust_texts_are_refused(old: str, new: str, finding: str) -> None:
    text = format_trust(TRUST)
    assert old in text
    with pytest.raises(MalformedMessage, match=finding):
        parse_trust(text.replace(old, new, 1))
