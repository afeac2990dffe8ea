"""Quorum and takeover on the ledger: fold, key ring and trust.toml have to agree on every one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.core.logkeeping import log_key_of
from messages.entries import KeyEntry, sign_entry
from messages.errors import MalformedMessage
from messages.keyring import KeyRing
from messages.lineage import check_lineage
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.note import ED25519, NoteKey, format_vkey
from messages.log.policy import unwitnessed
from messages.logkeeping import Quorum, Takeover, next_name
from messages.trust import Trust, format_trust, parse_trust
from tests.support.signers import ed25519
from tests.support.village import Village, ignored

NEW = ed25519("log-2")
WITNESS = "witness w gridtally.example/w1+7e72f6d4+BBv3o7nhxOs5dEa01kMG9fifprIpN1QH9I+xQ/M2GsFM"


@pytest.fixture
def village() -> Village:
    return Village(signed=True)


def takeover(village: Village, signed_up_to: int = 0, **changes: Any) -> Takeover:
    old = log_key_of(village.state)
    size = len(village.entries)
    name = next_name(old.name) if signed_up_to > size else old.name
    new = format_vkey(NoteKey(name, ED25519, NEW.public))
    made = Takeover(
        size, format_vkey(old), new, signed_up_to, "", unwitnessed(new), "the disk died", 5
    )
    return replace(made, **changes)


def ring_of(village: Village) -> KeyRing:
    """Read the registry a second time, as verifiers do."""
    ring = KeyRing()
    for entry in village.entries:
        body = entry.event.body
        if entry.event.index == 0:
            ring.found(body)  # type: ignore[arg-type]
        signer = ring.signer(entry.event.kid, body.KIND, "", 0)  # type: ignore[union-attr]
        if isinstance(body, KeyEntry):
            ring.change(entry.event.index, signer, body)
        elif isinstance(body, Quorum | Takeover):
            ring.keep_log(entry.event.index, signer, body)
    return ring


def agreed(village: Village) -> NoteKey:
    """Return the log's key, by the fold and by the key ring."""
    ring, found = ring_of(village), log_key_of(village.state)
    assert ring.log_key == found
    assert ring.quorum == village.state.network_rows[()].policy
    return found


def test_nothing_is_missing_and_the_name_stays(village: Village) -> None:
    old = agreed(village)
    village.put(village.administrator, takeover(village, signed_up_to=2))
    assert agreed(village) == NoteKey(old.name, ED25519, NEW.public)
    (row,) = village.state.successions.values()
    assert (row.given_up, row.keeps_name) == (0, True)


def test_what_is_given_up_gives_another_name(village: Village) -> None:
    old = agreed(village)
    size = len(village.entries)
    village.put(village.administrator, takeover(village, signed_up_to=size + 3))
    assert agreed(village).name == f"{old.name}/log2"
    (row,) = village.state.successions.values()
    assert (row.given_up, row.keeps_name) == (3, False)


def test_an_old_name_cannot_stay_where_entries_are_given_up(village: Village) -> None:
    old = agreed(village)
    vkey = format_vkey(NoteKey(old.name, ED25519, NEW.public))
    entry = takeover(village, signed_up_to=99, new=vkey, policy=unwitnessed(vkey))
    reason = ignored(village.put(village.administrator, entry))
    assert reason == f"the new log is named {old.name}/log2, not {old.name}"
    assert agreed(village) == old


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": 1}, "it goes on after 1 entries, and stands behind 2"),
        ({"old": "other+x"}, "not other+x"),
        ({"new": "nothing"}, "the new log's key"),
        ({"policy": "quorum none\n"}, "names another log"),
        ({"policy": "junk"}, "policy line 1"),
        ({"shown": "note\n"}, "did not sign"),
        ({"reason": "x" * 501}, "at most 500"),
    ],
)
def test_a_takeover_that_means_nothing_changes_nothing(
    village: Village, changes: dict[str, Any], reason: str
) -> None:
    old = agreed(village)
    found = ignored(village.put(village.administrator, takeover(village, **changes)))
    assert reason in found
    assert agreed(village) == old


def test_the_old_log_has_to_have_signed_what_is_shown(village: Village) -> None:
    old = agreed(village)
    note = sign_checkpoint(Checkpoint(old.name, 9, bytes(32)), ed25519("log"))
    entry = takeover(village, signed_up_to=8, shown=note)
    assert "signed 9 entries" in ignored(village.put(village.administrator, entry))
    village.put(village.administrator, takeover(village, signed_up_to=9, shown=note))
    assert agreed(village).name == f"{old.name}/log2"


def test_only_an_administrator_ends_a_key(village: Village) -> None:
    old = agreed(village)
    manager = village.person("mia", "manager")
    assert "is signed by administrator" in ignored(village.put(manager, takeover(village)))
    quorum = Quorum(f"log {format_vkey(old)}\n{WITNESS}\nquorum w\n", 5)
    assert "is signed by administrator" in ignored(village.put(manager, quorum))
    assert agreed(village) == old


def test_a_quorum_is_for_the_log_that_is_kept(village: Village) -> None:
    old = agreed(village)
    text = f"log {format_vkey(old)}\n{WITNESS}\nquorum w\n"
    village.put(village.administrator, Quorum(text, 5))
    agreed(village)
    assert village.state.network_rows[()].policy == text
    village.put(village.administrator, takeover(village))
    assert "another log" in ignored(village.put(village.administrator, Quorum(text, 6)))
    agreed(village)


def test_a_key_ends_once_and_never_comes_back(village: Village) -> None:
    old = agreed(village)
    village.put(village.administrator, takeover(village))
    back = format_vkey(old)
    entry = takeover(village, new=back, policy=unwitnessed(back))
    assert "registered already" in ignored(village.put(village.administrator, entry))
    assert agreed(village).public == NEW.public


# --- what nodes get -----------------------------------------------------------------------------


def trust_of(village: Village, raws: tuple[bytes, ...]) -> Trust:
    key = log_key_of(village.state)
    row, hub = village.state.network_rows[()], village.hub.public
    vkey = format_vkey(key)
    return Trust(row.network_id, key.name, vkey, hub, row.policy, simulation=True, lineage=raws)


def lineage(village: Village) -> tuple[bytes, ...]:
    return tuple(
        entry.raw
        for entry in village.entries
        if entry.event.index == 0 or isinstance(entry.event.body, KeyEntry | Takeover)
    )


def test_trust_brings_the_entries_that_lead_to_its_key(village: Village) -> None:
    village.person("zoe", "administrator")
    village.put(ed25519("zoe"), takeover(village, signed_up_to=99))
    trust = trust_of(village, lineage(village))
    assert parse_trust(format_trust(trust)) == trust
    (found,) = trust.takeovers
    assert (found.given_up, found.keeps_name) == (96, False)


def test_trust_with_a_key_that_nobody_named_is_refused(village: Village) -> None:
    village.put(village.administrator, takeover(village))
    trust = trust_of(village, lineage(village))
    other = format_vkey(NoteKey(trust.origin, ED25519, ed25519("thief").public))
    with pytest.raises(MalformedMessage, match="another log key"):
        parse_trust(format_trust(replace(trust, log_vkey=other)))


def test_a_takeover_by_a_stranger_is_refused(village: Village) -> None:
    village.put(village.administrator, takeover(village))
    good = lineage(village)
    forged = sign_entry(ed25519("thief"), takeover(village), village.network_id)
    for raws in ((good[0], forged), (good[0], good[0]), good[1:], (forged,)):
        with pytest.raises(MalformedMessage, match=r"trust\.toml"):
            parse_trust(format_trust(trust_of(village, raws)))


def test_every_flipped_byte_of_a_lineage_is_refused(village: Village) -> None:
    village.put(village.administrator, takeover(village))
    trust = trust_of(village, lineage(village))
    raw = trust.lineage[-1]
    for at in range(len(raw)):
        spoiled = raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]
        with pytest.raises(MalformedMessage):
            parse_trust(format_trust(replace(trust, lineage=(trust.lineage[0], spoiled))))


def test_a_lineage_is_of_one_network(village: Village) -> None:
    village.put(village.administrator, takeover(village))
    with pytest.raises(MalformedMessage, match="genesis of its network"):
        check_lineage(lineage(village), bytes(32))
