"""The registry is read twice, by the fold and by the verifier's ring: the two always agree.

Random people sign random key entries, most of them nonsense; after each entry both readings hold
the same keys, for the same holders, with the same rights, up to the same sequences.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.events import Event
from hub.core.state import State
from hub.core.step import step
from messages.entries import Genesis, KeyEntry
from messages.errors import BadSignature
from messages.keyring import KeyRing
from tests.support.signers import ed25519
from tests.support.village import relay

SIGNERS = {name: ed25519(name) for name in ("administrator", "hub", "log", *"abcdefgh")}
PROOF = b"p" * 64
SMALL_ORDER = b"\xa3\x01\x01\x20\x06\x21\x58\x20" + b"\x01" + bytes(31)

letters = st.sampled_from(list("abcdefgh"))
keys = letters.map(lambda name: SIGNERS[name].public.cose_key)
somebody = st.sampled_from(list(SIGNERS))
kids = somebody.map(lambda name: SIGNERS[name].public.kid)
names = st.sampled_from(["ann", "bob", "m1", "pi", "administrator", "hub", "A B", ""])
holders = st.sampled_from(["member", "member", "meter", "node", "replica", "hub", "log", "owner"])
roles = st.lists(
    st.sampled_from(["administrator", "manager", "bank", "prosumer", "king"]), max_size=2
).map(tuple)
sequences = st.dictionaries(st.sampled_from(["register", "event"]), st.integers(-1, 5), max_size=2)
meter: dict[str, Any] = {"node": "pi", "member": "ann", "purpose": "net"}


@st.composite
def entries(draw: st.DrawFn) -> KeyEntry:
    """A key entry that somebody might sign, sensible or not."""
    action = draw(
        st.sampled_from(["enrol", "enrol", "rotate", "rotate", "revoke", "role", "bless"])
    )
    holder = draw(holders)
    fields: dict[str, Any] = {"roles": draw(roles)} if draw(st.booleans()) else {}
    if action == "enrol":
        fields["first_sequence"] = draw(st.integers(0, 3))
        fields |= draw(st.sampled_from([meter, meter, {}, {"relays": (relay("r", "ann"),)}]))
        if holder == "replica" or not draw(st.integers(0, 9)):
            fields["vrf"] = draw(st.one_of(keys, st.just(SMALL_ORDER)))
    if action == "rotate":
        fields = {
            "replaces": draw(st.one_of(kids, keys, st.just(b"?"))),
            "last_sequences": draw(sequences),
            "proof": draw(st.sampled_from([PROOF, PROOF, b""])),
        }
    blob = st.one_of(keys, st.sampled_from([b"", SMALL_ORDER]))
    if action == "revoke":
        blob = st.one_of(st.just(b""), keys, kids)
    return KeyEntry(action, holder, draw(names), draw(blob), **fields)


def genesis() -> Genesis:
    return Genesis(
        "village",
        "o",
        3_600_000,
        0,
        "open",
        True,
        SIGNERS["administrator"].public.cose_key,
        SIGNERS["hub"].public.cose_key,
        SIGNERS["log"].public.cose_key,
        "",
        0,
    )


class Twice:
    """One log, read twice."""

    def __init__(self) -> None:
        self.state, self.ring, self.size = State(), KeyRing(), 0
        self.ring.found(genesis())
        self._fold("administrator", genesis())

    def put(self, signer: str, entry: KeyEntry) -> None:
        index = self.size
        self._fold(signer, entry)
        try:
            found = self.ring.signer(SIGNERS[signer].public.kid, "key", "", 0)
        except BadSignature:
            return  # the ledger is refused as a whole; the fold ignores the entry
        self.ring.change(index, found, entry)

    def _fold(self, signer: str, body: Any) -> None:
        event = Event(self.size, bytes(32), SIGNERS[signer].public.kid, body)
        self.state.apply(step(self.state, event).changes)
        self.size += 1

    def folded(self) -> dict[bytes, tuple[Any, ...]]:
        return {
            kid: (
                key.holder,
                key.name,
                key.first_sequence,
                frozenset(key.roles),
                dict(key.last_sequences) if key.rotated_to else None,
                key.until_index,
            )
            for kid, key in self.state.keys.items()
        }

    def ringed(self) -> dict[bytes, tuple[Any, ...]]:
        return {
            kid: (
                key.holder,
                key.name,
                key.first_sequence,
                key.roles,
                None if key.last_sequences is None else dict(key.last_sequences),
                key.revoked_at,
            )
            for kid, key in self.ring._keys.items()
        }


PRELUDE = (
    KeyEntry("enrol", "member", "ann", SIGNERS["a"].public.cose_key),
    KeyEntry("enrol", "member", "bob", SIGNERS["b"].public.cose_key, roles=("manager",)),
    KeyEntry("enrol", "meter", "m1", SIGNERS["c"].public.cose_key, **meter),
    KeyEntry("enrol", "node", "pi", SIGNERS["d"].public.cose_key),
)


@settings(max_examples=300)
@given(st.lists(st.tuples(somebody, entries()), max_size=25))
def test_both_readings_hold_the_same_keys(log: list[tuple[str, KeyEntry]]) -> None:
    """Among the signers are a member, a manager, a meter and a node."""
    twice = Twice()
    for entry in PRELUDE:
        twice.put("administrator", entry)
    assert len(twice.folded()) == 7
    for signer, entry in log:
        twice.put(signer, entry)
        assert twice.folded() == twice.ringed(), (signer, entry)


@settings(max_examples=300)
@given(st.lists(entries(), min_size=5, max_size=25))
def test_both_readings_agree_on_what_the_founder_signs(log: list[KeyEntry]) -> None:
    """The founder may do almost everything: more of it comes about."""
    twice = Twice()
    for entry in log:
        twice.put("administrator", entry)
    assert twice.folded() == twice.ringed()
