"""Largest surplus to largest deficit, until one side is empty."""

from __future__ import annotations

from hub.matching import Claim, Deal, pair


def test_the_rule() -> None:
    ann, bob, cyd = Claim("m1", "ann", 7), Claim("m2", "bob", 5), Claim("m3", "cyd", 4)
    assert pair([ann], [bob, cyd]) == (Deal(ann, bob, 5), Deal(ann, cyd, 2))


def test_what_is_left_of_a_claim_competes_anew() -> None:
    big, small, want = Claim("m1", "ann", 10), Claim("m2", "bob", 6), Claim("m3", "cyd", 7)
    other = Claim("m4", "dan", 6)
    assert pair([big, small], [want, other]) == (
        Deal(big, want, 7),
        Deal(small, other, 6),
    )


def test_ties_go_by_meter_then_member() -> None:
    first, second = Claim("m1", "zoe", 5), Claim("m2", "ann", 5)
    want = Claim("m9", "bob", 5)
    assert pair([second, first], [want]) == (Deal(first, want, 5),)
    same = Claim("m1", "ann", 5)
    assert pair([first, same], [want]) == (Deal(same, want, 5),)


def test_nothing_to_trade() -> None:
    assert pair([], []) == ()
    assert pair([Claim("m", "ann", 0)], [Claim("n", "bob", 5)]) == ()
    assert pair([Claim("m", "ann", 5)], [Claim("n", "bob", -5)]) == ()
