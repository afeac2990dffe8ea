r"""The draw: from weights and a seed to who proposes, and who does when that one sleeps.

Exact integers; every verifier gets the same order, and nobody has to reveal anything for it.

    proportional  t = SHA-256("gridtally/proposer-pick/v1\n" || seed) mod sum(W), walk by name.
                  Who stands by: the same draw over all, without replacement, with the hash of
                  label || seed || n (uint32 big-endian) for the n-th
    paper         U = SHA-256("gridtally/proposer-u/v1\n" || seed || name); by W/U, largest first.
                  It favours the heavy: of two with W2 = w W1 the second wins 1 - 1/(2w) of them

Source: paper 003, section IV C, for weights and the paper's rule.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

from messages.proposing import PAPER, ProposerRules

KWH_UWH: Final = 1_000_000_000
BLOCKS_KEPT: Final = 96
AGE_MAX: Final = 100
REPUTATION_MAX: Final = 100
ON_TIME: Final = 1
MISSED_TURN: Final = -10
WRONG_ROOT: Final = -50

Weights = Mapping[str, int]
RuleRow = tuple[int, int, int, int, str, int]
"""The fields of ProposerRules in their order, as a record of the state holds them."""


class Standing(NamedTuple):
    """What a member who runs a replica brings to the draw; keyed by member.

    `settled_uwh` has an entry for each of the last 96 blocks since the replica was enrolled, the
    newest last. `height` is that of the block it proposed last, at first of the last one before it
    was enrolled.
    """

    settled_uwh: tuple[int, ...]
    height: int
    reputation: int = 0

    def with_block(self, settled_uwh: int) -> Standing:
        """Return the standing once one more block is on the ledger."""
        return self._replace(settled_uwh=(*self.settled_uwh, settled_uwh)[-BLOCKS_KEPT:])

    def regarded(self, change: int) -> Standing:
        """Return the standing with more or less reputation."""
        reputation = min(max(self.reputation + change, 0), REPUTATION_MAX)
        return self._replace(reputation=reputation)


class Draw(NamedTuple):
    """Who may propose the block of a height: `order[n]` in round n.

    `faulty` signed a header for it with a state root that is not the state's, and lost their turn.
    """

    height: int
    seed: bytes
    order: tuple[str, ...] = ()
    faulty: tuple[str, ...] = ()


def rule_row(rules: ProposerRules) -> RuleRow:
    """Return rules as a record holds them."""
    return (
        rules.alpha,
        rules.beta,
        rules.gamma,
        rules.energy_kwh_max,
        rules.rule,
        rules.round_ms,
    )


def weight(standing: Standing, height: int, rules: ProposerRules) -> int:
    """Return W of a member after the block of a height."""
    energy_kwh = min(sum(standing.settled_uwh) // KWH_UWH, rules.energy_kwh_max)
    age = min(max(height - standing.height, 0), AGE_MAX)
    return rules.alpha * energy_kwh + rules.beta * age + rules.gamma * standing.reputation


def turns(rule: str, seed: bytes, weights: Weights) -> tuple[str, ...]:
    """Return who may propose, in the order of the rounds; who weighs nothing is not asked."""
    some = {name: value for name, value in sorted(weights.items()) if value > 0}
    if not some:
        return ()
    if rule == PAPER:
        return by_ratio(seed, some)
    first = pick(seed, some)
    return (first, *(name for name in draw_all(seed, some) if name != first))


def pick(seed: bytes, weights: Weights) -> str:
    """Return one name, drawn in proportion to the weights; one of them is above 0."""
    return _walk(_number(b"gridtally/proposer-pick/v1\n", seed), weights)


def draw_all(seed: bytes, weights: Weights) -> tuple[str, ...]:
    """Return all names, drawn one after the other, each in proportion among those left."""
    left = dict(weights)
    drawn: list[str] = []
    while left:
        place = len(drawn).to_bytes(4, "big")
        name = _walk(_number(b"gridtally/proposer-pick/v1\n", seed, place), left)
        drawn.append(name)
        del left[name]
    return tuple(drawn)


def by_ratio(seed: bytes, weights: Weights) -> tuple[str, ...]:
    """Return all names by weight over a random number of their own, the largest ratio first."""
    numbers = {name: _number(b"gridtally/proposer-u/v1\n", seed, name.encode()) for name in weights}

    def compare(a: str, b: str) -> int:
        left, right = weights[a] * numbers[b], weights[b] * numbers[a]
        return (left < right) - (left > right)

    return tuple(sorted(sorted(weights), key=functools.cmp_to_key(compare)))


def _walk(number: int, weights: Weights) -> str:
    left = number % sum(weights.values())
    for name in sorted(weights):
        left -= weights[name]
        if left < 0:
            return name
    raise AssertionError("a number below the sum of the weights is beyond them")


def _number(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha256(b"".join(parts)).digest(), "big")
