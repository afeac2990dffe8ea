"""Addresses read as they are written; pseudonyms stay, and differ where they should."""

import pytest

from messages.errors import MalformedMessage
from messages.identity import Address, parse_address, pseudonym
from messages.topics import NAME
from tests.support.signers import ed25519

ADDRESS = Address("dep1-pv", "bench", ed25519("administrator").public.fingerprint)


def test_an_address_reads_as_it_was_written():
    assert parse_address(str(ADDRESS)) == ADDRESS
    assert str(ADDRESS).startswith("dep1-pv@bench.")


@pytest.mark.parametrize(
    "text",
    ["", "dep1-pv", "dep1-pv@bench", "@bench.0f3a-91cc-2e07-b4d8", "a@b.0f3a-91cc-2e07", "a@b@c"],
)
def test_what_is_no_address(text):
    with pytest.raises(MalformedMessage, match="is no address"):
        parse_address(text)


def test_a_pseudonym_is_of_a_key_in_a_network():
    ann, bob = ed25519("ann").public.cose_key, ed25519("bob").public.cose_key
    mine = pseudonym(b"n" * 32, "ann", ann)
    assert mine == pseudonym(b"n" * 32, "another name", ann)
    others = {pseudonym(b"m" * 32, "ann", ann), pseudonym(b"n" * 32, "ann", bob)}
    others |= {pseudonym(b"n" * 32, "ann"), pseudonym(b"n" * 32, "bob")}
    assert len({mine, *others}) == 5


def test_a_pseudonym_can_stand_wherever_a_name_does():
    assert all(NAME.fullmatch(pseudonym(b"n" * 32, str(n))) for n in range(50))
