"""gridtally-verify evidence: what convicts a log, a meter, a node, a hub, and what does not."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from member.convict import check_evidence
from member.errors import Code, Refused
from member.heads import anchor_of
from messages.entries import Ack, BlockHeader, Close, Seal, sign_entry
from messages.errors import MessageError
from messages.evidence import Contents, Evidence, Heads, format_evidence, parse_evidence
from messages.live import Live, sign_live
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.cosignature import cosign
from messages.log.note import ED25519, NoteKey, format_vkey, parse_note
from messages.log.tree import EMPTY_ROOT, leaf_hash, prove_consistency, root, subtree_of
from messages.publickey import Signer
from messages.reading import Reading, sign_reading
from messages.telemetry import Pack, sign_pack
from messages.trust import Trust, format_trust
from tests.support.demo_log import WITNESSES, Told, ask
from tests.support.signers import ed25519

ORIGIN = "example.org/village"
LOG = ed25519("log")
VKEY = format_vkey(NoteKey(ORIGIN, ED25519, LOG.public))
NETWORK = bytes(range(32))
LEAVES = [leaf_hash(b"entry %d" % number) for number in range(12)]
OTHER = [*LEAVES[:2], leaf_hash(b"another"), *LEAVES[3:]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the trust.toml of a village."""
    policy = f"log {VKEY}\nwitness w1 {WITNESSES[0]}\nwitness w2 {witness()}\nquorum none\n"
    trust = Trust(NETWORK, ORIGIN, VKEY, ed25519("hub").public, policy)
    (tmp_path / "trust.toml").write_text(format_trust(trust))
    return tmp_path


def witness() -> str:
    return format_vkey(NoteKey("example.org/w2", 4, ed25519("w2").public))


def ask_of(capsys: Any, folder: Path, evidence: Evidence) -> Told:
    (folder / "evidence.json").write_text(format_evidence(evidence))
    return ask(capsys, "evidence", folder / "evidence.json", "--trust", folder / "trust.toml")


def note(leaves: list[bytes], size: int, signer: Signer = LOG) -> str:
    head = Checkpoint(ORIGIN, size, root(leaves[:size]))
    return sign_checkpoint(head, signer)


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def fork(old: list[bytes], small: int, new: list[bytes], large: int) -> Heads:
    """The old tree's smaller head and the new one's larger, with the proof of its own beginning."""
    proof = prove_consistency(small, large, subtree_of(new[:large]))
    return Heads(
        note(old, small), note(new, large), text(root(new[:small])), tuple(map(text, proof))
    )


# --- two heads ----------------------------------------------------------------------------------


def test_two_trees_of_one_size_convict_the_log(folder: Path, capsys: Any) -> None:
    told = ask_of(capsys, folder, Heads(note(LEAVES, 5), note(OTHER, 5)))
    assert told.code == 0
    assert told.facts["sizes"] == [5, 5]
    assert told.facts["roots"] == [root(LEAVES[:5]).hex(), root(OTHER[:5]).hex()]
    assert told.verdict == f"the log {ORIGIN} signed two trees of 5 entries"


@pytest.mark.parametrize("small", [3, 4, 5, 8, 11])
def test_a_tree_that_does_not_continue_an_older_one_convicts_the_log(
    folder: Path, capsys: Any, small: int
) -> None:
    told = ask_of(capsys, folder, fork(LEAVES, small, OTHER, 12))
    assert told.code == 0
    assert f"of 12 entries that does not continue its own of {small}" in told.verdict


def test_a_head_that_a_witness_saw_counts_as_well(folder: Path, capsys: Any) -> None:
    body = parse_note(note(OTHER, 5)).text
    seen = f"{body}\n{cosign(body, 1_767_225_600, 'example.org/w2', ed25519('w2'))}"
    assert ask_of(capsys, folder, Heads(note(LEAVES, 5), seen)).code == 0
    stranger = f"{body}\n{cosign(body, 1_767_225_600, 'example.org/w3', ed25519('w3'))}"
    told = ask_of(capsys, folder, Heads(note(LEAVES, 5), stranger))
    assert told.code == Code.EVIDENCE
    assert "no signature of a known key" in told.verdict


@pytest.mark.parametrize(
    ("evidence", "code", "words"),
    [
        (Heads(note(LEAVES, 5), note(LEAVES, 5)), Code.EVIDENCE, "both heads say the same"),
        (fork(LEAVES, 5, LEAVES, 12), Code.EVIDENCE, "both heads can be true"),
        (fork(OTHER, 2, LEAVES, 12), Code.EVIDENCE, "both heads can be true"),
        (replace(fork(LEAVES, 5, OTHER, 12), proof=()), Code.EVIDENCE, "empty"),
        (replace(fork(LEAVES, 5, OTHER, 12), prefix_root=text(bytes(32))), Code.EVIDENCE, "prefix"),
        (replace(fork(LEAVES, 5, OTHER, 12), prefix_root=""), Code.EVIDENCE, "32 bytes"),
        (Heads(note(LEAVES, 5, ed25519("x")), note(OTHER, 5)), Code.EVIDENCE, "no signature"),
        (Heads(note(LEAVES, 5), note(OTHER, 5).replace("5\n", "6\n", 1)), Code.SIGNATURE, "verify"),
        (Heads(note(LEAVES, 5), "no note"), Code.MALFORMED, "newline"),
        (Heads(note(LEAVES, 0), note(OTHER, 5), text(EMPTY_ROOT)), Code.EVIDENCE, "can be true"),
    ],
)
def test_what_shows_nothing_convicts_nobody(
    folder: Path, capsys: Any, evidence: Evidence, code: Code, words: str
) -> None:
    told = ask_of(capsys, folder, evidence)
    assert told.code == code
    assert words in told.verdict


def test_every_bit_of_evidence_matters() -> None:
    anchor = anchor_of(None, VKEY, 0, None)
    raw = format_evidence(fork(LEAVES, 5, OTHER, 8)).encode()
    assert check_evidence(raw.decode(), anchor).facts["sizes"] == [5, 8]
    for at in range(len(raw)):
        for bit in range(8):
            flipped = bytearray(raw)
            flipped[at] ^= 1 << bit
            with pytest.raises((MessageError, Refused, UnicodeDecodeError)):
                check_evidence(bytes(flipped).decode(), anchor)


# --- two contents -------------------------------------------------------------------------------

METER = ed25519("m1")
READING = Reading("village", "m1", 7, 900_000, 5, 6)
LIVE = Live("village", "m1", 7, 900_000, power_mw=1)
PACK = Pack("village", "m1", 7, 0, 1_000, ("power_mw",), ((1, 2),))
ACK = Ack(7, "n1", "r1", 1, True, "applied", "", 900_000, bytes(16), 1)
CLOSE = Close(900_000, "complete", (), 900_001)
HEADER = BlockHeader(7, b"", 0, 5, bytes(32), bytes(32), bytes(32), b"", b"", b"", 0, 1)


def both(signer: Signer, first: bytes, second: bytes) -> Contents:
    return Contents(signer.public.cose_key.hex(), text(first), text(second))


def entries(body: Any, other: Any, network: bytes = NETWORK) -> Contents:
    hub = ed25519("hub")
    return both(hub, sign_entry(hub, body, network), sign_entry(hub, other, network))


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (
            both(
                METER,
                sign_reading(METER, READING),
                sign_reading(METER, replace(READING, import_uwh=9)),
            ),
            "register 7",
        ),
        (both(METER, sign_live(METER, LIVE), sign_live(METER, replace(LIVE, at_ms=1))), "live 7"),
        (
            both(METER, sign_pack(METER, PACK), sign_pack(METER, replace(PACK, t0_ms=1_000))),
            "telemetry 7",
        ),
        (entries(ACK, replace(ACK, energised=False)), "event 7"),
        (entries(CLOSE, replace(CLOSE, reason="timeout")), "slot 900000"),
        (entries(HEADER, replace(HEADER, state_root=bytes(31) + b"\1")), "block 7"),
    ],
)
def test_two_contents_for_one_place_convict_whoever_signed(
    folder: Path, capsys: Any, evidence: Contents, words: str
) -> None:
    told = ask_of(capsys, folder, evidence)
    assert told.code == 0
    assert told.verdict.endswith(f"signed two contents for {words}")
    assert told.facts["place"] == words


def test_the_hub_is_called_by_its_name(folder: Path, capsys: Any) -> None:
    told = ask_of(capsys, folder, entries(CLOSE, replace(CLOSE, at_ms=1)))
    assert told.verdict.startswith(f"the hub {ed25519('hub').public.fingerprint} signed")


@pytest.mark.parametrize(
    ("evidence", "code", "words"),
    [
        (entries(CLOSE, CLOSE), Code.EVIDENCE, "both messages say the same"),
        (entries(CLOSE, replace(CLOSE, slot_start_ms=0)), Code.EVIDENCE, "two places"),
        (entries(CLOSE, replace(CLOSE, at_ms=1), bytes(32)), Code.SIGNATURE, "does not verify"),
        (entries(Seal(0, 0, b""), Seal(0, 1, b"")), Code.MALFORMED, "a seal has no place"),
        (Contents("00", "", ""), Code.MALFORMED, "the key in the evidence"),
        (Contents("xyz", "", ""), Code.MALFORMED, "the key in the evidence"),
        (
            replace(
                entries(CLOSE, replace(CLOSE, at_ms=1)), key=ed25519("x").public.cose_key.hex()
            ),
            Code.SIGNATURE,
            "not that of the registered key",
        ),
    ],
)
def test_contents_that_agree_or_were_signed_by_others_convict_nobody(
    folder: Path, capsys: Any, evidence: Contents, code: Code, words: str
) -> None:
    told = ask_of(capsys, folder, evidence)
    assert told.code == code
    assert words in told.verdict


def test_without_the_network_only_meters_can_be_convicted(folder: Path, capsys: Any) -> None:
    path = folder / "evidence.json"
    path.write_text(format_evidence(entries(CLOSE, replace(CLOSE, at_ms=1))))
    told = ask(capsys, "evidence", path, "--key", VKEY)
    assert told.code == Code.SIGNATURE
    assert "give --trust" in told.verdict
    other = sign_reading(METER, replace(READING, import_uwh=9))
    path.write_text(format_evidence(both(METER, sign_reading(METER, READING), other)))
    assert ask(capsys, "evidence", path, "--key", VKEY).code == 0


# --- the file -----------------------------------------------------------------------------------


def test_a_file_says_what_it_was_made_from() -> None:
    for evidence in (fork(LEAVES, 5, OTHER, 12), entries(CLOSE, replace(CLOSE, at_ms=1))):
        assert parse_evidence(format_evidence(evidence)) == evidence


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "[]\n",
        '{"format":"gridtally-evidence-2","kind":"heads"}\n',
        '{"format":"gridtally-evidence-1","kind":"hats"}\n',
        '{"format":"gridtally-evidence-1","kind":"contents","key":"00"}\n',
        '{"first":"","format":"gridtally-evidence-1","key":"","kind":"contents","second":1}\n',
    ],
)
def test_another_file_is_no_evidence(folder: Path, capsys: Any, broken: str) -> None:
    (folder / "evidence.json").write_text(broken)
    told = ask(capsys, "evidence", folder / "evidence.json", "--key", VKEY)
    assert told.code == Code.MALFORMED
