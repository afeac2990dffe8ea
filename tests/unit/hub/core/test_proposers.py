"""Weights and draws: the numbers of the rule, everybody's turn, and how the paper's rule leans."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import pytest

from hub.core.proposers import (
    AGE_MAX,
    BLOCKS_KEPT,
    KWH_UWH,
    Standing,
    by_ratio,
    draw_all,
    pick,
    turns,
    weight,
)
from messages.proposing import (
    PAPER,
    PROPORTIONAL,
    ProposerRules,
    first_seed,
    next_seed,
    rules_fault,
    vrf_input,
)
from tests.support.vectors import vectors

VECTORS = vectors("trust/proposer_selection_proposed")
WEIGHTS = {"a": 1, "b": 1, "c": 2, "d": 6}
SHARES = {"a": 0.1, "b": 0.1, "c": 0.2, "d": 0.6}
DRAWS = 20_000


def seeds(count: int) -> list[bytes]:
    return [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(count)]


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["seed"])
def test_vectors(vector: dict[str, Any]) -> None:
    seed, weights = bytes.fromhex(vector["seed"]), VECTORS["weights"]
    assert pick(seed, weights) == vector["proportional"]
    assert by_ratio(seed, weights)[0] == vector["paper_rule"]
    assert list(draw_all(seed, weights)) == vector["rank"]
    assert turns(PROPORTIONAL, seed, weights)[0] == vector["proportional"]
    assert turns(PAPER, seed, weights) == by_ratio(seed, weights)


def test_the_proportional_draw_follows_the_shares_in_every_round() -> None:
    """And who stands by, too: with "d" gone, the others are drawn as if it had never been there."""
    orders = [turns(PROPORTIONAL, seed, WEIGHTS) for seed in seeds(DRAWS)]
    first = Counter(order[0] for order in orders)
    for name, share in SHARES.items():
        assert abs(first[name] / DRAWS - share) < 0.01
    after_d = Counter(order[1] for order in orders if order[0] == "d")
    for name, share in {"a": 0.25, "b": 0.25, "c": 0.5}.items():
        assert abs(after_d[name] / first["d"] - share) < 0.02


def test_the_papers_rule_favours_the_heavy() -> None:
    """Two with w = 3: it wins 1 - 1/6 of all draws, where its share is 3/4."""
    wins = Counter(by_ratio(seed, {"a": 1, "b": 3})[0] for seed in seeds(DRAWS))
    assert abs(wins["b"] / DRAWS - 5 / 6) < 0.01


def test_an_order_holds_everybody_once_and_nobody_without_weight() -> None:
    for seed in seeds(50):
        for rule in (PROPORTIONAL, PAPER):
            order = turns(rule, seed, {**WEIGHTS, "zero": 0})
            assert sorted(order) == sorted(WEIGHTS)
    assert turns(PROPORTIONAL, b"s", {}) == turns(PAPER, b"s", {"zero": 0}) == ()


def test_an_order_does_not_hang_on_the_order_of_a_dict() -> None:
    backwards = dict(reversed(WEIGHTS.items()))
    for seed in seeds(50):
        for rule in (PROPORTIONAL, PAPER):
            assert turns(rule, seed, WEIGHTS) == turns(rule, seed, backwards)


def test_energy_age_and_reputation_make_the_weight() -> None:
    rules = ProposerRules(alpha=2, beta=3, gamma=5, energy_kwh_max=10)
    assert weight(Standing((KWH_UWH, 2 * KWH_UWH - 1), 7, 4), 9, rules) == 2 * 2 + 3 * 2 + 5 * 4
    assert weight(Standing((11 * KWH_UWH,), 9, 0), 9, rules) == 2 * 10
    assert weight(Standing((), 0, 0), 5 * AGE_MAX, rules) == 3 * AGE_MAX
    assert weight(Standing((), 9, 0), 9, rules) == 0


def test_only_the_last_blocks_count() -> None:
    standing = Standing((), 0)
    for number in range(BLOCKS_KEPT + 10):
        standing = standing.with_block(number)
    assert standing.settled_uwh == tuple(range(10, BLOCKS_KEPT + 10))


def test_reputation_stays_within_its_bounds() -> None:
    assert Standing((), 0, 5).regarded(-10).reputation == 0
    assert Standing((), 0, 100).regarded(1).reputation == 100
    assert Standing((), 0, 60).regarded(-50).reputation == 10


BLOCKS = 10_000
ENERGY_KWH = {"ann": 0, "bob": 2, "cem": 10, "dee": 40, "eve": 200}


def longest_wait(rules: ProposerRules) -> tuple[Counter[str], dict[str, int]]:
    """Play many blocks; return how often each proposed, and how long each waited at most."""
    settled = {name: (kwh * KWH_UWH,) for name, kwh in ENERGY_KWH.items()}
    standings = {name: Standing(settled[name], -1) for name in ENERGY_KWH}
    seed, wins, waits = first_seed(b"n" * 32), Counter[str](), dict.fromkeys(ENERGY_KWH, 0)
    for height in range(BLOCKS):
        weights = {name: weight(s, height - 1, rules) for name, s in standings.items()}
        order = turns(rules.rule, seed, weights)
        waited = {name: height - standing.height for name, standing in standings.items()}
        waits = {name: max(waits[name], waited[name]) for name in waits}
        if order:
            wins[order[0]] += 1
            standings[order[0]] = standings[order[0]]._replace(height=height).regarded(1)
        seed = next_seed(seed, height.to_bytes(64, "big"))
    return wins, waits


def stated_bound(rules: ProposerRules, chance: int) -> int:
    """Return how many blocks nobody waits longer than, but with a chance of one in `chance`.

    The others weigh at most alpha energy_kwh_max + 100 (beta + gamma) each, and one who waits for n
    blocks weighs at least beta n. So says docs/papers.md.
    """
    others = (len(ENERGY_KWH) - 1) * (
        rules.alpha * rules.energy_kwh_max + AGE_MAX * (rules.beta + rules.gamma)
    )
    missed, blocks = 1.0, 0
    while missed > 1 / chance:
        own = rules.beta * min(blocks, AGE_MAX)
        missed *= others / (others + own)
        blocks += 1
    return blocks


def test_over_ten_thousand_blocks_everybody_proposes_within_the_stated_bound() -> None:
    """Paper 003, section X B: the set of miners should not be constant."""
    rules = ProposerRules()
    bound = stated_bound(rules, 1_000 * BLOCKS)
    assert bound == 148
    wins, waits = longest_wait(rules)
    assert wins.total() >= BLOCKS - 1
    assert min(wins.values()) > 1_000
    assert max(waits.values()) <= bound


def test_without_age_the_lightest_never_proposes() -> None:
    """What the bound rests on: it is beta that keeps the set from being constant."""
    wins, waits = longest_wait(ProposerRules(beta=0, gamma=0, energy_kwh_max=1_000))
    assert "ann" not in wins
    assert waits["bob"] > 300


def test_the_papers_rule_leaves_nobody_out_either() -> None:
    wins, waits = longest_wait(ProposerRules(rule=PAPER))
    assert set(wins) == set(ENERGY_KWH)
    assert max(waits.values()) <= 148


def test_seeds_follow_from_the_one_before_and_its_output() -> None:
    seed = first_seed(b"n" * 32)
    assert seed == hashlib.sha256(b"gridtally/seed/v1\n" + b"n" * 32).digest()
    assert (
        next_seed(seed, b"o" * 64)
        == hashlib.sha256(b"gridtally/seed/v1\n" + seed + b"o" * 64).digest()
    )
    assert vrf_input(b"n" * 32, 5, seed) == (
        b"gridtally/vrf/v1\n" + b"n" * 32 + b"\0\0\0\0\0\0\0\5" + seed
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, ""),
        ({"beta": -1}, "beta is from 0 to 1000000"),
        ({"gamma": 1_000_001}, "gamma is from 0 to 1000000"),
        ({"alpha": 0, "beta": 0, "gamma": 0}, "one of alpha, beta and gamma is above 0"),
        ({"energy_kwh_max": -1}, "energy_kwh_max is from 0 to 1000000000"),
        ({"rule": "lottery"}, "rule is proportional or paper"),
        ({"round_ms": 0}, "round_ms is from 1000 to 86400000"),
    ],
)
def test_rules_by_which_nobody_could_be_drawn(changes: dict[str, Any], sentence: str) -> None:
    assert rules_fault(ProposerRules(**changes)) == sentence
