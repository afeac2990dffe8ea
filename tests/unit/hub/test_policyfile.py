"""A policy file becomes an entry that the fold takes, or every finding at once."""

from __future__ import annotations

import re

import pytest

from hub.balancing.catalog import POLICIES
from hub.errors import ConfigError
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from messages.disputes import DisputeRules
from messages.feeding import FeedRule


def findings(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read_policy(text, "policy.toml", 0, CONTRACTS, POLICIES)
    return [finding.removeprefix("policy.toml:") for finding in raised.value.findings]


def test_the_example_is_a_policy() -> None:
    entry = read_policy(EXAMPLE, "policy.toml", 900_000, CONTRACTS, POLICIES)
    assert entry.from_slot_ms == 900_000
    assert entry.parameters == {"deficit": "curtail", "surplus": "grid"}
    assert entry.dispatch_parameters == {"import_mw_max": 0}
    assert entry.prices == ((0, 220_000),)
    assert entry.feed_in == ((0, 80_000),)
    assert len(entry.code_id) == 32


def test_prices_follow_the_time_of_day() -> None:
    text = EXAMPLE + '\n[[price]]\nat = "17:30"\nutok_per_kwh = 300_000\n'
    entry = read_policy(text, "policy.toml", 0, CONTRACTS, POLICIES)
    assert entry.prices == ((0, 220_000), (1_050, 300_000))


def test_everything_wrong_with_the_form_is_said_at_once() -> None:
    text = EXAMPLE.replace('"00:00"', '"24:00"', 1).replace("= 0 ", "= 0.5 ")
    text = text.replace('disclosure = "open"', 'disclosure = "all"')
    found = findings(text)
    assert [line.split(":")[0] for line in found] == ["3", "11", "14"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (('contract = "dep_balance"', 'contract = "auction"'), "there are choose_producer"),
        (('dispatch = "dep"', 'dispatch = "magic"'), "there are dep, "),
        (('deficit = "curtail"', 'deficit = "ignore"'), "deficit"),
        (("import_mw_max = 0", "colour = 7"), "colour"),
        (('at = "00:00"', 'at = "00:15"'), "minute 0"),
    ],
)
def test_what_nobody_could_use_is_refused(change: tuple[str, str], what: str) -> None:
    (finding,) = findings(EXAMPLE.replace(*change, 1))
    assert what in finding


def test_the_example_s_feed_is_one() -> None:
    text = re.sub(r"(?m)^# (\[\[feed|\w+ = )", r"\1", EXAMPLE)
    entry = read_policy(text, "policy.toml", 900_000, CONTRACTS, POLICIES)
    assert entry.feeds == (FeedRule("price", "meteo", 3_600_000, 100_000, 500_000, 220_000),)
    assert entry.disputes == DisputeRules(2_976, 2_976, "dismiss")
    without = read_policy(text.replace("fallback", "# "), "x", 900_000, CONTRACTS, POLICIES)
    assert without.feeds[0].fallback is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("low = 100_000", "low = 900_000", "feed price: floor and cap ascend"),
        ("fallback = 220_000", "fallback = 1", "the fallback lies between floor and cap"),
        ('unruled = "dismiss"', 'unruled = "toss"', "unruled"),
        ("within_slots = 2_976", "within_slots = 0", "within_slots"),
    ],
)
def test_what_feeds_and_disputes_cannot_be(old: str, new: str, said: str) -> None:
    text = re.sub(r"(?m)^# (\[\[feed|\w+ = )", r"\1", EXAMPLE)
    assert old in text
    assert said in " ".join(findings(text.replace(old, new)))
