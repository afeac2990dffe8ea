"""A policy file becomes an entry that the fold takes, or every finding at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub.balancing.catalog import POLICIES
from hub.errors import ConfigError
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, load_policy, read_policy
from messages.banking import BankRules
from messages.disputes import DisputeRules
from messages.feeding import FeedRule
from messages.regulating import Mix, Premium, Regulation


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


def uncommented() -> str:
    """The example with all that it shows and leaves out."""
    return re.sub(r"(?m)^# (\[+\w+\]|\w+ = )", r"\1", EXAMPLE)


def test_what_the_example_shows_and_leaves_out() -> None:
    text = uncommented()
    entry = read_policy(text, "policy.toml", 900_000, CONTRACTS, POLICIES)
    assert entry.feeds == (FeedRule("price", "meteo", 3_600_000, 100_000, 500_000, 220_000),)
    assert entry.disputes == DisputeRules(2_976, 2_976, "dismiss")
    assert entry.bank == BankRules(96, 1, 10**9, 10**9, 10**12)
    mix, premium = Mix("renewable", 30, 50_000), Premium("grid", 20_000, 500_000_000)
    assert entry.regulation == Regulation(100_000, 300_000, 10_000, True, (mix,), (premium,))
    without = read_policy(text.replace("fallback", "# "), "x", 900_000, CONTRACTS, POLICIES)
    assert without.feeds[0].fallback is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("low = 100_000", "low = 900_000", "feed price: floor and cap ascend"),
        ("fallback = 220_000", "fallback = 1", "the fallback lies between floor and cap"),
        ('unruled = "dismiss"', 'unruled = "toss"', "unruled"),
        ("within_slots = 2_976", "within_slots = 0", "within_slots"),
        ("payout_slots = 96", "payout_slots = 0", "payout_slots"),
        ("payout_min_utok = 1 ", "payout_min_utok = 1_000_000_001 ", "payout_min_utok is at most"),
        ("floor_utok_per_kwh = 100_000", "floor_utok_per_kwh = 400_000", "floor and cap ascend"),
        ('fuel = "renewable"', 'fuel = "sunshine"', "fuel"),
        ('account = "@community"', 'account = "@bank"', "account"),
    ],
)
def test_what_rules_cannot_be(old: str, new: str, said: str) -> None:
    text = uncommented()
    assert old in text
    assert said in " ".join(findings(text.replace(old, new)))


def test_a_file_that_says_nothing_of_it_leaves_what_binds_every_market(tmp_path: Path) -> None:
    file, before = tmp_path / "policy.toml", Regulation(5, 6)
    for more, wanted in (
        ("", before),
        ("[regulation]\n", Regulation()),
        ('[[mix]]\nfuel = "wind"\nshare_percent = 5\n', Regulation(mix=(Mix("wind", 5),))),
    ):
        file.write_text(EXAMPLE + more)
        assert load_policy(file, 0, CONTRACTS, POLICIES, before).regulation == wanted
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(tmp_path / "none" / "policy.toml", 0, CONTRACTS, POLICIES)
