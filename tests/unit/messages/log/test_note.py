"""Signed notes, checkpoints, cosignatures, policies, proofs and tiles against published vectors."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from messages.errors import BadProof, BadSignature, MalformedMessage, MessageError
from messages.log import tiles
from messages.log.checkpoint import (
    Checkpoint,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from messages.log.cosignature import cosign, cosigned_text, open_cosignatures
from messages.log.note import (
    ED25519,
    NoteKey,
    format_vkey,
    open_note,
    parse_note,
    parse_vkey,
    sign_note,
    signature_line,
)
from messages.log.policy import parse_policy, unwitnessed
from messages.log.proof import LogProof, check_proof, format_proof, parse_proof
from messages.log.tree import leaf_hash
from messages.publickey import EDDSA, PublicKey
from tests.support.vectors import vectors

NOTES = vectors("trust/signed_note")
DEMO = vectors("trust/checkpoint_cosignature_demo")
LOG = parse_vkey(DEMO["log_vkey"])
WITNESSES = tuple(parse_vkey(text) for text in DEMO["witness_vkeys"])


class Seeded:
    """A signer made from a published seed."""

    def __init__(self, seed: str) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
        self.public = PublicKey(EDDSA, self._private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


def test_published_notes_open() -> None:
    for case in NOTES["valid"]:
        keys = [parse_vkey(text) for text in case["vkeys"]]
        text, signers = open_note(case["note"], keys)
        assert case["note"].startswith(text)
        assert set(signers) <= set(keys)
        assert signers


def test_broken_notes_are_refused() -> None:
    for case in NOTES["invalid"]:
        with pytest.raises(MessageError):
            open_note(case["note"], [parse_vkey(text) for text in case["vkeys"]])


def test_published_signer_makes_the_published_note() -> None:
    case = next(case for case in NOTES["valid"] if "signer_key" in case)
    seed = base64.b64decode(case["signer_key"].split("+", 4)[4])[1:].hex()
    text = parse_note(case["note"]).text

    assert sign_note(text, "PeterNeumann", Seeded(seed)) == case["note"]


def test_vkeys_come_back_and_every_changed_byte_is_refused() -> None:
    for text in [DEMO["log_vkey"], *DEMO["witness_vkeys"]]:
        assert format_vkey(parse_vkey(text)) == text
        for place in range(len(text)):
            for other in ("A", "+", " "):
                bad = text[:place] + other + text[place + 1 :]
                if bad != text:
                    with pytest.raises(MalformedMessage):
                        parse_vkey(bad)
        for end in range(len(text)):
            with pytest.raises(MalformedMessage):
                parse_vkey(text[:end])


def test_demo_checkpoint_is_made_to_the_letter() -> None:
    signer = Seeded(DEMO["log_seed"])
    checkpoint = Checkpoint(DEMO["origin"], DEMO["size"], bytes.fromhex(DEMO["root"]))
    text = format_checkpoint(checkpoint)

    assert (
        sign_checkpoint(checkpoint, signer) == "\n".join(DEMO["checkpoint"].split("\n")[:5]) + "\n"
    )
    lines = [
        cosign(text, time_s, key.name, Seeded(seed))
        for key, seed, time_s in zip(WITNESSES, DEMO["witness_seeds"], times(), strict=True)
    ]
    assert sign_checkpoint(checkpoint, signer) + "".join(lines) == DEMO["checkpoint"]
    assert open_checkpoint(DEMO["checkpoint"], LOG) == checkpoint


def times() -> list[int]:
    return [cosignature.time_s for cosignature in open_cosignatures(DEMO["checkpoint"], WITNESSES)]


def test_cosignatures_are_of_the_witnesses() -> None:
    found = open_cosignatures(DEMO["checkpoint"], WITNESSES)
    assert tuple(cosignature.key for cosignature in found) == WITNESSES
    assert open_cosignatures(DEMO["checkpoint"], ()) == ()


@pytest.mark.parametrize("place", range(0, len(DEMO["checkpoint"]), 3))
def test_a_changed_checkpoint_is_refused(place: int) -> None:
    note = DEMO["checkpoint"]
    bad = note[:place] + ("B" if note[place] != "B" else "C") + note[place + 1 :]
    if parse_quietly(bad) == parse_note(note):
        return
    with pytest.raises(MessageError):
        open_with_all_witnesses(bad)


def open_with_all_witnesses(note: str) -> None:
    open_checkpoint(note, LOG)
    if len(open_cosignatures(note, WITNESSES)) < len(WITNESSES):
        raise BadProof("a witness is gone")


def parse_quietly(note: str) -> object:
    try:
        return parse_note(note)
    except MessageError:
        return None


def test_another_origin_is_refused_even_when_signed() -> None:
    signer = Seeded(DEMO["log_seed"])
    note = sign_note(
        "elsewhere.example\n1\n" + base64.b64encode(bytes(32)).decode() + "\n", LOG.name, signer
    )
    with pytest.raises(BadProof, match=r"is of elsewhere.example"):
        open_checkpoint(note, LOG)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        "a\n01\n" + "A" * 43 + "=\n",
        "a\n-1\n" + "A" * 43 + "=\n",
        "a\n1\nAAAA\n",
        "a b\n1\n" + "A" * 43 + "=\n",
        "a\n1\n" + "A" * 43 + "=",
        "a\n1\n\n" + "A" * 43 + "=\n",
        "a\n1\n" + "A" * 42 + "B=\n",
    ],
)
def test_other_checkpoint_texts_are_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_checkpoint(text)


def test_extension_lines_are_kept() -> None:
    text = "a\n0\n" + "A" * 43 + "=\nmore\n"
    assert parse_checkpoint(text).extensions == ("more",)
    assert format_checkpoint(parse_checkpoint(text)) == text


DIGITS = "9" * 5000  # more than int() takes from a text


@pytest.mark.parametrize("number", ["+1", "01", "1_0", "\u00b2", "\u0663", str(2**63), DIGITS])
def test_numbers_in_texts_are_plain_and_bounded(number: str) -> None:
    with pytest.raises(MalformedMessage, match="is not a decimal"):
        parse_checkpoint(f"a\n{number}\n" + "A" * 43 + "=\n")
    with pytest.raises(MalformedMessage, match="is not a decimal"):
        parse_proof(DEMO["tlog_proof"].replace("index 4", f"index {number}"))
    with pytest.raises(MalformedMessage):
        parse_policy(f"witness a {W0}\ngroup g {number} a\nquorum g")
    largest = parse_checkpoint(f"a\n{2**63 - 1}\n" + "A" * 43 + "=\n")
    assert largest.size == 2**63 - 1


@pytest.mark.parametrize("ending", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_a_line_ends_at_a_newline_only(ending: str) -> None:
    """What Python calls a line break is none to other readers of the same note."""
    one = "\u2014 a AAAAAAAA"
    with pytest.raises(MalformedMessage):
        parse_note(f"x\n\n{one}{ending}{one}\n")


@pytest.mark.parametrize("bad", ["\x00", "\x1f", "\t", "\r", "\ud800"])
def test_no_control_characters_in_text_or_signatures(bad: str) -> None:
    good = sign_note("text\n", LOG.name, Seeded(DEMO["log_seed"]))
    for place in (2, len(good) - 4):
        with pytest.raises(MalformedMessage):
            parse_note(good[:place] + bad + good[place:])
    with pytest.raises(MalformedMessage, match="control"):
        sign_note(f"a{bad}b\n", LOG.name, Seeded(DEMO["log_seed"]))


def test_limits_of_notes_and_proofs() -> None:
    with pytest.raises(MalformedMessage, match="at most 1000000"):
        parse_note("x" * 1_000_001)
    with pytest.raises(MalformedMessage, match="end in a newline"):
        sign_note("text", LOG.name, Seeded(DEMO["log_seed"]))
    path = tuple(bytes([n]) * 32 for n in range(64))
    proof = LogProof(2**63 - 1, path, DEMO["checkpoint"])
    assert parse_proof(format_proof(proof)) == proof
    with pytest.raises(MalformedMessage, match="at most 64 hashes"):
        parse_proof(format_proof(replace(proof, path=(*path, bytes(32)))))
    with pytest.raises(MalformedMessage, match="32 bytes"):
        parse_proof(format_proof(replace(proof, path=(bytes(31),))))
    line = DEMO["checkpoint"].split("\n")[4]
    assert len(parse_note("x\n\n" + f"{line}\n" * 128).signatures) == 128


def test_a_cosignature_is_eight_bytes_of_time_and_a_signature() -> None:
    text = parse_note(DEMO["checkpoint"]).text
    witness, signer = WITNESSES[0], Seeded(DEMO["witness_seeds"][0])
    good = cosign(text, 2**63 - 1, witness.name, signer)
    assert open_cosignatures(f"{text}\n{good}{good}", WITNESSES)[0].time_s == 2**63 - 1
    too_late = signature_line(
        witness, (2**63).to_bytes(8, "big") + signer.sign(cosigned_text(text, 2**63))
    )
    with pytest.raises(MalformedMessage, match="beyond 2\\^63"):
        open_cosignatures(f"{text}\n{too_late}", WITNESSES)
    with pytest.raises(MalformedMessage, match=r"has not 8 \+ 64 bytes"):
        open_cosignatures(f"{text}\n{signature_line(witness, bytes(64))}", WITNESSES)
    earlier = signature_line(witness, bytes(8) + signer.sign(cosigned_text(text, 1)))
    with pytest.raises(BadSignature):
        open_cosignatures(f"{text}\n{earlier}", WITNESSES)


@pytest.mark.parametrize(
    "vkey", ["a+00000000", "a+0+AA==", "a+00000000+AAAA", "a+00000000+" + "A" * 44]
)
def test_other_vkeys_are_refused(vkey: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_vkey(vkey)


def test_a_small_order_key_is_no_log_key() -> None:
    packed = base64.b64encode(b"\x01\x01" + bytes(31)).decode()
    with pytest.raises(MalformedMessage, match="small-order"):
        parse_vkey(f"a+00000000+{packed}")


@pytest.mark.parametrize(
    "note",
    [
        "x",
        "x\n\n",
        "x\n\n- a AAAA\n",
        "x\x01\n\n— a AAAAAAAA\n",
        "\n\n— a A A\n",
        "x\n\n— a AAAAAA==\n",
    ],
)
def test_other_note_texts_are_refused(note: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_note(note)


def test_a_thousand_signature_lines_are_too_many() -> None:
    many = "x\n\n" + "— a AAAAAAAA\n" * 1000
    with pytest.raises(MalformedMessage, match="1 to 128"):
        parse_note(many)


def test_a_known_key_that_does_not_verify_spoils_the_note() -> None:
    good = sign_note("text\n", LOG.name, Seeded(DEMO["log_seed"]))
    with pytest.raises(BadSignature):
        open_note(good.replace("text", "tent"), [LOG])
    with pytest.raises(BadProof, match="no signature of a known key"):
        open_note(good, [replace(LOG, name="other")])


def test_demo_proof_is_made_and_checked_to_the_letter() -> None:
    leaf = bytes.fromhex(DEMO["leaf_hashes"][DEMO["index"]])
    proof = parse_proof(DEMO["tlog_proof"])

    assert proof.index == DEMO["index"]
    assert [value.hex() for value in proof.path] == DEMO["inclusion"]
    assert format_proof(proof) == DEMO["tlog_proof"]
    assert check_proof(proof, leaf, LOG).size == DEMO["size"]
    with pytest.raises(BadProof):
        check_proof(proof, leaf_hash(b"other"), LOG)
    with pytest.raises(BadProof):
        check_proof(LogProof(3, proof.path, proof.checkpoint), leaf, LOG)


def test_extra_line_of_a_proof_is_passed_over() -> None:
    text = DEMO["tlog_proof"].replace("\nindex", "\nextra AAAA\nindex", 1)
    assert parse_proof(text) == parse_proof(DEMO["tlog_proof"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@v1", "@v2"),
        ("index 4", "index 04"),
        ("index 4", "index"),
        ("index 4", "index -1"),
        ("=\n", "\n"),
    ],
)
def test_other_proof_texts_are_refused(old: str, new: str) -> None:
    with pytest.raises(MessageError):
        check_proof(parse_proof(DEMO["tlog_proof"].replace(old, new, 1)), bytes(32), LOG)


def test_tiles_have_the_published_paths_and_contents() -> None:
    paths = vectors("trust/tile_paths")
    assert tiles.tile_path(tiles.Tile(0, 1_234_067, 256)) == paths["index_1234067_level_0"]
    widths = [(tile.level, tile.width) for tile in tiles.tiles_of(70_000) if tile.level >= 0]
    published = paths["size_70000"]
    assert widths.count((0, 256)) == published["level0_full"]
    assert (0, published["level0_partial"]) in widths
    assert widths.count((1, 256)) == published["level1_full"]
    assert (1, published["level1_partial"]) in widths
    assert (2, published["level2_partial"]) in widths
    assert [tiles.tile_path(tile) for tile in tiles.tiles_of(256)] == [
        "tile/entries/000",
        "tile/0/000",
        "tile/1/000.p/1",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/300",
        "tile/0/000.p/07",
        "tile/0/000.p/",
        "tile/0/x000/001",
        "tile/0/001/x000",
        "tile/0/1000",
        "tile/0/x001/000/",
        "/tile/0/000",
        "tile/entry/000",
        "tile/8/0/000",
        "tile/0/\u0660\u0660\u0660",
    ],
)
def test_only_one_spelling_of_a_tile_s_path_is_read(path: str) -> None:
    with pytest.raises(MalformedMessage):
        tiles.parse_tile_path(path)


def test_every_path_of_a_tree_is_read_back() -> None:
    for tile in (*tiles.tiles_of(70_000), tiles.Tile(63, 10**18 - 1, 256)):
        assert tiles.parse_tile_path(tiles.tile_path(tile)) == tile


def test_demo_bundle_comes_back() -> None:
    (path, packed), *_ = DEMO["entry_bundle"].items()
    bundle = bytes.fromhex(packed)
    entries = tiles.parse_bundle(bundle)

    assert [entry.hex() for entry in entries] == DEMO["entries"]
    assert tiles.format_bundle(entries) == bundle
    assert tiles.tile_path(tiles.Tile(-1, 0, len(entries))) == path
    for end in range(1, len(bundle)):
        if end not in ends(entries):
            with pytest.raises(MalformedMessage):
                tiles.parse_bundle(bundle[:end])
    with pytest.raises(MalformedMessage):
        tiles.format_bundle([bytes(65_536)])
    with pytest.raises(MalformedMessage):
        tiles.parse_bundle(bytes(2) * 257)


def ends(entries: list[bytes]) -> set[int]:
    at, found = 0, set()
    for entry in entries:
        at += 2 + len(entry)
        found.add(at)
    return found


def test_unwitnessed_policy_is_met_by_nobody() -> None:
    policy = parse_policy(unwitnessed(DEMO["log_vkey"]))
    assert policy.logs == (LOG,)
    assert not policy.witnessed
    assert policy.is_met(frozenset())


def test_quorum_counts_groups_of_groups() -> None:
    lines = [
        f"witness w{i} {text} https://w{i}.example" for i, text in enumerate(DEMO["witness_vkeys"])
    ]
    text = "\n".join(
        [
            "# ours",
            "",
            f"log {DEMO['log_vkey']}",
            *lines,
            "group g 2 w0 w1",
            "group f all g w2",
            "quorum f",
        ]
    )
    policy = parse_policy(text)

    assert policy.witnessed
    assert policy.urls == {f"w{i}": f"https://w{i}.example" for i in range(3)}
    assert policy.is_met(frozenset(WITNESSES))
    assert not policy.is_met(frozenset(WITNESSES[:2]))
    one = parse_policy(text.replace("quorum f", "quorum w1"))
    assert one.is_met(frozenset(WITNESSES[1:2]))
    either = parse_policy(text.replace("group g 2", "group g any").replace("quorum f", "quorum g"))
    assert either.is_met(frozenset(WITNESSES[:1]))


W0, W1 = DEMO["witness_vkeys"][:2]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("", "no quorum"),
        ("quorum none\nquorum none", "line 2: a second quorum"),
        ("quorum w", "'w' is not defined"),
        (f"witness none {W0}\nquorum none", "taken"),
        (f"witness a {W0}\nwitness a {W1}\nquorum none", "line 2: the name 'a' is taken"),
        (f"witness a {W0}\nwitness b {W0}\nquorum none", "stands here twice"),
        (f"log {W0}\nquorum none", "has type 0x04"),
        (f"witness a {DEMO['log_vkey']}\nquorum none", "has type 0x01"),
        (f"witness a {W0}\ngroup g any a b\nquorum g", "'b' is not defined"),
        (f"witness a {W0}\ngroup g any a a\nquorum g", "member twice"),
        (f"witness a {W0}\ngroup g 2 a\nquorum g", "'2' is not all, any or 1 to 1"),
        (f"witness a {W0}\ngroup g some a\nquorum g", "'some' is not"),
        ("watch a b", "no policy line"),
        (f"witness a {W0}\rquorum none", "line 1: a control character"),
        ("quorum\u00a0none", "no policy line"),
    ],
)
def test_a_wrong_policy_line_is_named(text: str, finding: str) -> None:
    with pytest.raises(MalformedMessage, match=finding):
        parse_policy(text)


def test_key_names_have_no_space_and_no_plus() -> None:
    for name in ("", "a b", "a+b"):
        with pytest.raises(MalformedMessage):
            format_vkey(NoteKey(name, ED25519, LOG.public))
