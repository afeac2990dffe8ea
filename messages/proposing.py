r"""Who proposes the next block: what a community agrees on, and the seeds of the draw.

    W    = alpha E + beta A + gamma R
    E      energy settled for a member in the last 96 blocks, in whole kWh, at most energy_kwh_max
    A      blocks since the member proposed last, at most 100
    R      reputation, 0 to 100: +1 for a header, -10 for a missed turn, -50 for a wrong state root

    seed_0 = SHA-256("gridtally/seed/v1\n" || network id)
    seed_h = SHA-256("gridtally/seed/v1\n" || seed_{h-1} || output_{h-1})
    output   of the VRF (`messages.vrf`) of the key that proposed, over
             "gridtally/vrf/v1\n" || network id || height (uint64 big-endian) || its seed; empty
             where the hub proposed, as nobody else could

Source: paper 003, section IV C; `hub/core/proposers.py` has the draw, docs/papers.md what differs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

PROPORTIONAL: Final = "proportional"
PAPER: Final = "paper"
RULES: Final = (PROPORTIONAL, PAPER)

FACTOR_MAX: Final = 1_000_000
ENERGY_KWH_MAX: Final = 1_000_000_000
ROUND_MS_MIN: Final = 1_000
ROUND_MS_MAX: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class ProposerRules:
    """How proposers are weighed and drawn. `round_ms`: how long each is waited for. [kWh, ms]"""

    alpha: int = 1
    beta: int = 5
    gamma: int = 1
    energy_kwh_max: int = 100
    rule: str = PROPORTIONAL
    round_ms: int = 10_000


USUAL_RULES: Final = ProposerRules()
"""Those of a microgrid that agreed on no others."""


def rules_fault(rules: ProposerRules) -> str:
    """Say why nobody could be drawn by these rules; "" if somebody can.

    >>> rules_fault(ProposerRules(alpha=-1))
    'alpha is from 0 to 1000000'
    """
    for name in ("alpha", "beta", "gamma"):
        if not 0 <= getattr(rules, name) <= FACTOR_MAX:
            return f"{name} is from 0 to {FACTOR_MAX}"
    if not (rules.alpha or rules.beta or rules.gamma):
        return "one of alpha, beta and gamma is above 0"
    if not 0 <= rules.energy_kwh_max <= ENERGY_KWH_MAX:
        return f"energy_kwh_max is from 0 to {ENERGY_KWH_MAX}"
    if rules.rule not in RULES:
        return f"rule is {' or '.join(RULES)}"
    if not ROUND_MS_MIN <= rules.round_ms <= ROUND_MS_MAX:
        return f"round_ms is from {ROUND_MS_MIN} to {ROUND_MS_MAX}"
    return ""


def first_seed(network_id: bytes) -> bytes:
    """Return the seed of height 0."""
    return hashlib.sha256(b"gridtally/seed/v1\n" + network_id).digest()


def next_seed(seed: bytes, output: bytes) -> bytes:
    """Return the seed of the height after the one that had `seed`."""
    return hashlib.sha256(b"gridtally/seed/v1\n" + seed + output).digest()


def vrf_input(network_id: bytes, height: int, seed: bytes) -> bytes:
    """Return what the proposer of a height proves its randomness over."""
    return b"gridtally/vrf/v1\n" + network_id + height.to_bytes(8, "big") + seed
