"""A burst, then one at a time; each key for itself."""

from __future__ import annotations

import pytest

from hub.link import buckets
from hub.link.buckets import Buckets


def test_a_burst_and_then_one_at_a_time() -> None:
    bucket = Buckets(3, 1_000)
    assert [bucket.take("a", 10_000) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take("a", 10_999)
    assert bucket.take("a", 11_000)
    assert not bucket.take("a", 11_000)


def test_a_pause_fills_it_to_the_brim_and_no_further() -> None:
    bucket = Buckets(2, 1_000)
    for _ in range(2):
        bucket.take("a", 0)
    assert [bucket.take("a", 10**9) for _ in range(3)] == [True, True, False]


def test_keys_do_not_share() -> None:
    bucket = Buckets(1, 1_000)
    assert bucket.take("a", 5_000)
    assert bucket.take("b", 5_000)
    assert not bucket.take("a", 5_000)


def test_many_keys_cost_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "KEYS_MAX", 2)
    bucket = Buckets(1, 1_000)
    for key in "abc":
        assert bucket.take(key, 5_000)
    assert bucket.take("a", 5_000)  # the longest unused was forgotten
    assert not bucket.take("c", 5_000)
