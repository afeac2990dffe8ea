"""Sealed readings under grants: who may read them, which ones, and that each request stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.core.pseudonyms import pseudonyms
from hub.errors import RecordRefused
from hub.ledger.store import Store
from hub.vault.desk import RecordDesk, read_state
from keys.file import FileSigner, generate
from messages import cose
from messages.entries import Call, KeyEntry
from messages.errors import BadProof, MalformedMessage
from messages.reading import decode_reading
from messages.records import Fresh, Opened, lock_readings, open_readings
from tests.support.hub_bench import SLOT_MS, START_MS
from tests.support.signers import ed25519
from tests.support.vault_bench import LATER_MS, Community


@pytest.fixture
def here(tmp_path: Path) -> Community:
    """Sealed readings of six slot edges; alice, whose meters they are, has a key of her own."""
    found = Community(tmp_path, readings="sealed")
    found.people["alice"] = alice = ed25519("alice")
    opened = found.bench.open()
    entry = KeyEntry("enrol", "member", "alice", alice.public.cose_key)
    assert found.bench.enrol(found.bench.spine(opened), [entry]) == [""]
    opened.close()
    found.close(4)
    return found


def times(found: list[Opened]) -> list[int]:
    """Return the slot edges of readings, as numbers of slots since the start."""
    said = [decode_reading(cose.open_sealed(cose.parse(e.entry), e.preimage)) for e in found]
    return [(reading.at_ms - START_MS) // SLOT_MS for reading in said]


def ask(desk: RecordDesk, first: int = 0, last: int = 6, case: str = "") -> list[int]:
    return times(desk.readings("load", START_MS + first * SLOT_MS, START_MS + last * SLOT_MS, case))


def test_the_owner_reads_the_stretch_he_asks_for_and_no_other_meter(here: Community) -> None:
    assert ask(here.desk("alice")) == [0, 1, 2, 3, 4, 5]
    assert ask(here.desk("alice"), 2, 4) == [2, 3]
    assert ask(here.desk("alice"), 6, 9) == []
    found = here.desk("alice").readings("load", START_MS, LATER_MS)
    with Store.open(here.config.database, read_only=True) as store:
        assert [store.entry(each.index).raw for each in found] == [each.entry for each in found]


def test_one_grant_opens_readings_as_it_opens_records(here: Community) -> None:
    with pytest.raises(RecordRefused, match=r"bob has no grant to a meter 'load'$"):
        ask(here.desk("bob"))
    here.desk("alice").grant("reading", "bob", LATER_MS)
    assert ask(here.desk("bob"), 0, 2) == [0, 1]
    here.desk("alice").ask("revoke", {"what": "reading", "grantee": "bob"})
    with pytest.raises(RecordRefused, match="bob has no grant"):
        ask(here.desk("bob"))
    here.desk("alice").grant("bill", "bob", LATER_MS)
    with pytest.raises(RecordRefused, match="bob has no grant"):
        ask(here.desk("bob"))
    with Store.open(here.config.database, read_only=True) as store:
        assert len(store.of_kind(Call.KIND)) == 7  # the refused ones, too
    (access,) = read_state(here.config).accesses.values()
    assert (access.member, access.why, access.meter) == ("bob", "grant", "load")


def test_the_regulator_reads_them_under_a_case(here: Community) -> None:
    with pytest.raises(RecordRefused, match="rita has no grant"):
        ask(here.desk("rita"))
    asked = {
        "case": "tap-1",
        "subject": pseudonyms(read_state(here.config))["alice"],
        "reason": "seal broken",
        "until_slot_ms": LATER_MS,
    }
    here.desk("rita").ask("open", asked, "cases")
    assert ask(here.desk("rita"), 0, 3, "tap-1") == [0, 1, 2]
    assert len(read_state(here.config).cases["tap-1"].accesses) == 1


@pytest.mark.parametrize(
    ("meter", "from_ms", "until_ms", "words"),
    [
        ("nothing", 0, 1, "has no grant to a meter 'nothing'$"),
        ("load", 5, 5, "at most 31 days"),
        ("load", 0, 32 * 86_400_000, "at most 31 days"),
        ("load", -1, 1, "at most 31 days"),
    ],
)
def test_what_makes_no_sense_is_refused(
    here: Community, meter: str, from_ms: int, until_ms: int, words: str
) -> None:
    with pytest.raises(RecordRefused, match=words):
        here.desk("alice").readings(meter, from_ms, until_ms)


def test_a_key_that_was_rotated_leaves_its_readings_where_they_were(here: Community) -> None:
    old = here.bench.meters["load"]
    new: FileSigner = ed25519("load2")
    from messages.possession import Claim

    opened = here.bench.open()
    claim = Claim(opened.trust.network_id, "meter", "load")
    last = {"register": here.bench.sequences[old.public.kid, "register"]}
    entry = KeyEntry(
        "rotate",
        "meter",
        "load",
        new.public.cose_key,
        replaces=old.public.kid,
        last_sequences=last,
        proof=claim.prove(new),
    )
    assert here.bench.enrol(here.bench.spine(opened), [entry]) == [""]
    opened.close()
    here.bench.meters["load"] = new
    here.close(2)
    assert ask(here.desk("alice"), 3, 8) == [3, 4, 5, 6, 7]


def test_a_meter_that_went_to_somebody_else_says_nothing_of_before(here: Community) -> None:
    opened = here.bench.open()
    old, here.bench.meters["load"] = here.bench.meters["load"], ed25519("load2")
    entries = [
        KeyEntry("revoke", "meter", "load", old.public.cose_key),
        replace(here.bench.meter_entry("load"), member="bob"),
    ]
    assert here.bench.enrol(here.bench.spine(opened), entries) == ["", ""]
    opened.close()
    here.close(3)
    assert ask(here.desk("bob"), 0, 9) == [6, 7, 8]
    with pytest.raises(RecordRefused, match="alice has no grant"):
        ask(here.desk("alice"), 0, 9)


def test_in_an_open_network_there_is_nothing_to_open(tmp_path: Path) -> None:
    here = Community(tmp_path)
    here.people["alice"] = alice = ed25519("alice")
    opened = here.bench.open()
    entry = KeyEntry("enrol", "member", "alice", alice.public.cose_key)
    assert here.bench.enrol(here.bench.spine(opened), [entry]) == [""]
    opened.close()
    assert ask(here.desk("alice")) == []


def test_the_command_prints_a_table(here: Community, tmp_path: Path) -> None:
    key = here.people["zoe"] = generate(tmp_path / "zoe.pem")
    opened = here.bench.open()
    entry = KeyEntry("enrol", "member", "zoe", key.public.cose_key)
    assert here.bench.enrol(here.bench.spine(opened), [entry]) == [""]
    opened.close()
    here.desk("alice").grant("reading", "zoe", LATER_MS)

    def run(*span: str) -> Result:
        words = ["record", "readings", "load", "--key", str(tmp_path / "zoe.pem"), *span]
        return CliRunner().invoke(app, [*words, "--config", str(tmp_path / "hub.toml")])

    done = run("--from", str(START_MS), "--to", str(START_MS + 2 * SLOT_MS))
    head, *lines = done.stdout.splitlines()
    assert head == "entry,at_ms,import_uwh,export_uwh"
    assert [line.split(",")[1:] for line in lines] == [
        [str(START_MS), "1", "0"],
        [str(START_MS + SLOT_MS), "2", "0"],
    ]


def test_an_answer_opens_for_its_call_and_its_reader_and_unchanged_only(here: Community) -> None:
    found = here.desk("alice").readings("load", START_MS, START_MS + SLOT_MS)
    own, call_id = X25519PrivateKey.generate(), b"c" * 16
    fresh = Fresh(b"k" * 32, b"n" * 12, X25519PrivateKey.generate())
    answer = lock_readings(found, call_id, own.public_key().public_bytes_raw(), fresh)
    assert open_readings(answer, call_id, own) == found
    for wrong in ((answer, b"d" * 16, own), (answer, call_id, X25519PrivateKey.generate())):
        with pytest.raises(BadProof):
            open_readings(*wrong)
    for place in range(len(answer)):
        turned = bytearray(answer)
        turned[place] ^= 1
        with pytest.raises((BadProof, MalformedMessage)):
            open_readings(bytes(turned), call_id, own)
    other = found[0].preimage[:-1] + bytes((found[0].preimage[-1] ^ 1,))
    fresh = Fresh(b"k" * 32, b"n" * 12, X25519PrivateKey.generate())
    lie = [Opened(found[0].index, found[0].entry, other)]
    forged = lock_readings(lie, call_id, own.public_key().public_bytes_raw(), fresh)
    with pytest.raises(BadProof, match="another preimage"):
        open_readings(forged, call_id, own)
