"""How well one column explains what is left over, when all others may be a little wrong, too. Pure.

Generalised least squares. What is left over in a slot is a sum of small things that nobody can
avoid (noise of the slot, each meter's class, losses of the wires) and perhaps of one large thing.
The small ones make up the covariance; by Woodbury's identity it is never written out, so a window
costs slots x meters^2.

Source: Kay, Fundamentals of Statistical Signal Processing II, 4.3 (generalised matched filter);
Yip et al., Detection of energy theft and defective smart meters using linear regression (2017),
for the idea to regress the residual on members' energies.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from operator import mul
from typing import NamedTuple

Column = Sequence[float]


class Fit(NamedTuple):
    """A column's share of what is left over, and by how many standard errors it is not 0."""

    share: float
    score: float


class Unexplained:
    """What is left over, with the small causes it always has.

    Args:
        left: what is left over, slot by slot.
        noise: its standard deviation in each slot.
        causes: columns, each times the standard deviation of its unknown share.
    """

    def __init__(self, left: Column, noise: Column, causes: Sequence[Column]) -> None:
        self._weights = [1 / (each * each) for each in noise]
        self._left = left
        self._weighted = [_times(cause, self._weights) for cause in causes]
        gram = [
            [_dot(one, other) for other in causes[: place + 1]]
            for place, one in enumerate(self._weighted)
        ]
        for place in range(len(gram)):
            gram[place][place] += 1.0
        self._root = _cholesky(gram)
        self._turned_left = self._turn(left)
        self._own_left = _times(left, self._weights)
        own = _dot(left, self._own_left) - _dot(self._turned_left, self._turned_left)
        self._chi2 = max(own, 0.0)

    def _turn(self, column: Column) -> list[float]:
        return _forward(self._root, [_dot(each, column) for each in self._weighted])

    def fit(self, column: Column) -> Fit:
        """Return how much of a column is in what is left over; (0, 0) for a column of zeros."""
        turned = self._turn(column)
        power = _dot(column, _times(column, self._weights)) - _dot(turned, turned)
        if power <= 1e-9:
            return Fit(0.0, 0.0)
        along = _dot(column, self._own_left) - _dot(turned, self._turned_left)
        rest = max(self._chi2 - along * along / power, 0.0)
        scale = max(1.0, sqrt(rest / max(len(self._left) - 1, 1)))
        return Fit(along / power, along / sqrt(power) / scale)


def _times(one: Column, other: Column) -> list[float]:
    return list(map(mul, one, other))


def _dot(one: Column, other: Column) -> float:
    total: float = sum(map(mul, one, other))
    return total


def _cholesky(lower: list[list[float]]) -> list[list[float]]:
    """Return L of a positive definite matrix, both as their lower triangles."""
    root: list[list[float]] = []
    for row, values in enumerate(lower):
        line: list[float] = []
        for column in range(row):
            line.append((values[column] - _dot(line, root[column][:column])) / root[column][column])
        line.append(sqrt(max(values[row] - _dot(line, line), 1e-12)))
        root.append(line)
    return root


def _forward(root: list[list[float]], right: Column) -> list[float]:
    found: list[float] = []
    for row, value in zip(root, right, strict=True):
        found.append((value - _dot(row, found)) / row[-1])
    return found
