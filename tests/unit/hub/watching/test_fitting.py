"""A column's share of what is left over, against the same sums written out."""

from __future__ import annotations

import math

import pytest

from hub.watching.fitting import Unexplained

SHAPE = [1.0, 4.0, 2.0, 8.0, 5.0, 7.0]
OTHER = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0]
NOISE = [0.1] * 6


def test_a_share_is_found_whole_and_its_score_is_share_by_its_standard_error() -> None:
    fit = Unexplained([0.5 * each for each in SHAPE], NOISE, []).fit(SHAPE)
    assert fit.share == pytest.approx(0.5)
    assert fit.score == pytest.approx(0.5 * math.sqrt(sum(each**2 for each in SHAPE)) / 0.1)


def test_what_a_class_allows_is_no_news() -> None:
    left = [0.02 * each for each in OTHER]
    alone = Unexplained(left, NOISE, []).fit(OTHER)
    allowed = Unexplained(left, NOISE, [[0.02 * each for each in OTHER]]).fit(OTHER)
    assert alone.score > 2
    assert allowed.score < 1
    assert allowed.share == pytest.approx(0.02, rel=1e-6)


def test_two_causes_by_hand() -> None:
    """V = noise^2 I + c c', inverted by Sherman and Morrison's formula."""
    cause = [0.3 * each for each in OTHER]
    left = [0.4 * a + 0.1 * b for a, b in zip(SHAPE, OTHER, strict=True)]
    weight = 1 / 0.01
    bend = weight**2 / (1 + weight * sum(each * each for each in cause))

    def inner(one: list[float], two: list[float]) -> float:
        plain = weight * sum(a * b for a, b in zip(one, two, strict=True))
        first = sum(a * b for a, b in zip(one, cause, strict=True))
        return plain - bend * first * sum(a * b for a, b in zip(two, cause, strict=True))

    fit = Unexplained(left, NOISE, [cause]).fit(SHAPE)
    assert fit.share == pytest.approx(inner(SHAPE, left) / inner(SHAPE, SHAPE))


def test_what_nothing_explains_widens_every_error() -> None:
    left = [each + (2.0 if place % 2 else -2.0) for place, each in enumerate(SHAPE)]
    rough = Unexplained(left, NOISE, []).fit(SHAPE)
    smooth = Unexplained(SHAPE, NOISE, []).fit(SHAPE)
    assert rough.score < smooth.score / 10


def test_a_column_of_zeros_explains_nothing() -> None:
    assert Unexplained(SHAPE, NOISE, []).fit([0.0] * 6) == (0.0, 0.0)
