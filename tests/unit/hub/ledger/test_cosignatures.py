"""Cosignatures are kept with their checkpoint, and the newest quorum says what is final."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.errors import LedgerCorrupt, LedgerError, NoSuchEntry
from hub.ledger.cosignatures import SIZES_KEPT
from hub.ledger.records import Cosigned
from messages.log.checkpoint import open_checkpoint
from messages.log.cosignature import cosign, open_cosignatures
from messages.log.note import COSIGNATURE, NoteKey, format_vkey, parse_note, parse_vkey
from messages.log.policy import LogPolicy, parse_policy
from tests.support.signers import ed25519
from tests.support.small_ledger import SmallHub

NAMES = ("w1", "w2", "w3")
KEYS = {name: NoteKey(name, COSIGNATURE, ed25519(name).public) for name in NAMES}


def policy_of(hub: SmallHub, quorum: str) -> LogPolicy:
    lines = [f"witness {name} {format_vkey(key)}" for name, key in KEYS.items()]
    return parse_policy("\n".join([f"log {hub.trust.log_vkey}", *lines, quorum]))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[SmallHub]:
    made = SmallHub(tmp_path)
    made.enrol()
    yield made
    made.store.close()


def cosigned(hub: SmallHub, name: str, note: str, final_size: int = 0, time_s: int = 7) -> None:
    key = NoteKey(name, COSIGNATURE, ed25519(name).public)
    line = cosign(parse_note(note).text, time_s, name, ed25519(name))
    size = open_checkpoint(note, parse_vkey(hub.trust.log_vkey)).size
    hub.store.cosignatures.keep(Cosigned(size, name, key.key_id, time_s, line), final_size)


def grow(hub: SmallHub) -> str:
    hub.store.append([hub.reading()])
    return hub.checkpoint()


def test_a_quorum_makes_a_checkpoint_final_with_the_lines_that_count(hub: SmallHub) -> None:
    policy = policy_of(hub, "group g 2 w1 w2 w3\nquorum g")
    note = grow(hub)
    assert hub.store.cosignatures.final(policy) is None
    cosigned(hub, "w2", note)
    cosigned(hub, "stranger", note)
    assert hub.store.cosignatures.final(policy) is None
    with pytest.raises(NoSuchEntry, match="no checkpoint has met the quorum"):
        hub.store.published(policy)
    cosigned(hub, "w1", note)
    final = hub.store.cosignatures.final(policy)
    assert final == hub.store.published(policy)
    assert final is not None
    keys = tuple(KEYS.values())
    assert {each.key.name for each in open_cosignatures(final.note, keys)} == {"w1", "w2"}
    assert "stranger" not in final.note


def test_a_newer_checkpoint_is_final_only_with_its_own_quorum(hub: SmallHub) -> None:
    policy = policy_of(hub, "group g 2 w1 w2 w3\nquorum g")
    old = grow(hub)
    for name in ("w1", "w2"):
        cosigned(hub, name, old)
    new = grow(hub)
    cosigned(hub, "w3", new)
    final = hub.store.cosignatures.final(policy)
    assert final is not None
    assert final.note.startswith(old)
    cosigned(hub, "w1", new)
    final = hub.store.cosignatures.final(policy)
    assert final is not None
    assert final.note.startswith(new)


def test_without_a_quorum_line_the_newest_is_shown_with_what_there_is(hub: SmallHub) -> None:
    policy = policy_of(hub, "quorum none")
    note = grow(hub)
    assert hub.store.published(policy).note == note
    cosigned(hub, "stranger", note)
    assert hub.store.published(policy).note.startswith(note + "— stranger ")
    assert hub.store.cosignatures.final(policy) is None


def test_a_line_over_nothing_that_is_stored_is_refused(hub: SmallHub) -> None:
    with pytest.raises(LedgerError):
        hub.store.cosignatures.keep(Cosigned(99, "w1", b"abcd", 7, "line\n"), 0)


def test_a_later_cosignature_of_one_checkpoint_replaces_the_earlier(hub: SmallHub) -> None:
    note = grow(hub)
    cosigned(hub, "w1", note, time_s=7)
    cosigned(hub, "w1", note, time_s=9)
    (row,) = hub.store.cosignatures.all()
    assert row.time_s == 9


def test_old_lines_go_but_not_those_of_the_final_checkpoint(hub: SmallHub) -> None:
    first = grow(hub)
    size = hub.store.size
    for name in ("w1", "w2"):
        cosigned(hub, name, first)
    for _ in range(SIZES_KEPT + 5):
        cosigned(hub, "w1", grow(hub), final_size=size)
    rows = hub.store.cosignatures.all()
    assert [row.size for row in rows if row.name == "w2"] == [size]
    mine = [row.size for row in rows if row.name == "w1"]
    assert (mine[0], len(mine)) == (size, SIZES_KEPT + 1)
    assert hub.store.cosignatures.newest()["w1", KEYS["w1"].key_id].size == hub.store.size


def test_a_damaged_line_is_said(hub: SmallHub) -> None:
    policy = policy_of(hub, "quorum w1")
    note = grow(hub)
    key = KEYS["w1"]
    line = cosign("another\ntext\n", 7, "w1", ed25519("w1"))
    size = hub.store.size
    hub.store.cosignatures.keep(Cosigned(size, "w1", key.key_id, 7, line), 0)
    with pytest.raises(LedgerCorrupt, match=f"over {size} entries: .*w1 does not verify"):
        hub.store.cosignatures.final(policy)
    assert note
