"""Pseudonyms follow from keys, so that who knows names only cannot try them."""

from __future__ import annotations

from hub.core.pseudonyms import member_under, pseudonyms
from messages.identity import pseudonym
from tests.support.signers import ed25519
from tests.support.village import Village


def test_a_household_without_a_key_is_hidden_by_its_first_meter_s() -> None:
    village = Village()
    village.meter("m", "ann", "consumption")
    village.meter("n", "ann", "generation")
    village.meter("o", "bob", "consumption")
    network_id, shown = village.network_id, pseudonyms(village.state)
    assert shown["ann"] == pseudonym(network_id, "", ed25519("m").public.cose_key)
    assert shown["bob"] == pseudonym(network_id, "", ed25519("o").public.cose_key)
    assert not {pseudonym(network_id, name) for name in shown} & set(shown.values())
    village.person("ann")
    own = pseudonyms(village.state)["ann"]
    assert own == pseudonym(network_id, "", ed25519("ann").public.cose_key)
    assert member_under(village.state, own) == "ann"
