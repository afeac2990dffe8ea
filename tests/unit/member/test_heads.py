"""gridtally-verify on heads of a log and what hangs under them, on published files."""

from __future__ import annotations

import base64
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from member.errors import Code, Refused
from member.heads import Anchor, anchor_of, check_checkpoint, check_proof
from member.verify import main
from messages.errors import MessageError
from messages.log.cosignature import cosign
from messages.log.note import COSIGNATURE, NoteKey, format_vkey
from tests.support.demo_log import DEMO, Told, ask, policy, trust
from tests.support.signers import ed25519

PATHS = [str(Path(__file__).parents[3]), sysconfig.get_path("purelib")]
KEY = DEMO["log_vkey"]
ENTRY = bytes.fromhex(DEMO["entries"][DEMO["index"]])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with what the demonstration log hands out."""
    (tmp_path / "checkpoint").write_text(DEMO["checkpoint"])
    (tmp_path / "old").write_text(DEMO["checkpoint_3"])
    (tmp_path / "entry.cose").write_bytes(ENTRY)
    (tmp_path / "entry.tlog-proof").write_text(DEMO["tlog_proof"])
    hashes = [base64.b64encode(bytes.fromhex(each)).decode() for each in DEMO["consistency_3_7"]]
    (tmp_path / "proof.txt").write_text("".join(f"{line}\n" for line in hashes))
    (tmp_path / "policy").write_text(policy())
    (tmp_path / "trust.toml").write_text(trust(policy()))
    return tmp_path


def newest_s() -> int:
    return max(each["time_s"] for each in cosigners(DEMO["checkpoint"]))


def cosigners(note: str) -> list[dict[str, Any]]:
    anchor = anchor_of(trust(policy("any")), None, 0, None)
    found: list[dict[str, Any]] = check_checkpoint(note, anchor).facts["cosigners"]
    return found


def at(seconds_later: int, *, max_age_s: int | None) -> Anchor:
    return anchor_of(trust(policy()), None, newest_s() + seconds_later, max_age_s)


def refused(told: Told, code: Code, words: str) -> None:
    assert told.code == code
    assert told.facts["failed"] == code.name.lower()
    assert words in told.verdict


# --- checkpoint ---------------------------------------------------------------------------------


def test_a_checkpoint_under_the_logs_key_is_valid(files: Path, capsys: Any) -> None:
    told = ask(capsys, "checkpoint", files / "checkpoint", "--key", KEY)
    assert told.code == 0
    assert told.facts["size"] == 7
    assert told.facts["root"] == DEMO["root"]
    assert told.facts["final"] is False
    assert "give --trust" in told.verdict


def test_the_key_can_be_read_from_a_file(files: Path, capsys: Any) -> None:
    (files / "log.vkey").write_text(KEY + "\n")
    assert ask(capsys, "checkpoint", files / "checkpoint", "--key", files / "log.vkey").code == 0


def test_with_trust_the_quorum_is_asked_for_and_named(files: Path, capsys: Any) -> None:
    told = ask(capsys, "checkpoint", files / "checkpoint", "--trust", files / "trust.toml")
    assert told.code == 0
    assert told.facts["final"] is told.facts["witnessed"] is True
    names = [each["name"] for each in told.facts["cosigners"]]
    assert sorted(names) == sorted(vkey.split("+")[0] for vkey in DEMO["witness_vkeys"])
    assert all(name in told.verdict for name in names)


def test_trust_toml_lies_in_the_folder_one_stands_in(
    files: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    assert ask(capsys, "checkpoint", "checkpoint").code == 0
    (files / "trust.toml").unlink()
    refused(ask(capsys, "checkpoint", "checkpoint"), Code.UNREADABLE, "trust.toml")


def test_a_checkpoint_of_another_log_is_foreign(files: Path, capsys: Any) -> None:
    other = format_vkey(NoteKey("example.org/other", 1, ed25519("other").public))
    told = ask(capsys, "checkpoint", files / "checkpoint", "--key", other)
    refused(told, Code.FOREIGN, "no signature of a known key")


def test_a_checkpoint_under_another_key_of_that_name_is_signed_by_nobody(
    files: Path, capsys: Any
) -> None:
    other = format_vkey(NoteKey(DEMO["origin"], 1, ed25519("other").public))
    told = ask(capsys, "checkpoint", files / "checkpoint", "--key", other)
    refused(told, Code.SIGNATURE, "no signature of a known key")


def test_too_few_cosigners_make_nothing_final(files: Path, capsys: Any) -> None:
    text, _, lines = DEMO["checkpoint"].partition("\n\n")
    (files / "checkpoint").write_text(text + "\n\n" + "".join(lines.splitlines(keepends=True)[:2]))
    told = ask(capsys, "checkpoint", files / "checkpoint", "--trust", files / "trust.toml")
    refused(told, Code.POLICY, "gridtally.example/w1, which is no all-of-them")


def test_an_unwitnessed_log_is_called_so(files: Path, capsys: Any) -> None:
    (files / "trust.toml").write_text(trust(policy("none")))
    told = ask(capsys, "checkpoint", files / "checkpoint", "--trust", files / "trust.toml")
    assert told.code == 0
    assert told.facts["witnessed"] is False
    assert "unwitnessed" in told.verdict


@pytest.mark.parametrize(
    ("seconds", "max_age_s", "holds"),
    [
        (600, 600, True),
        (601, 600, False),
        (10**8, None, True),
        (-300, 600, True),
        (-301, 60, False),
    ],
)
def test_a_head_is_stale_when_its_newest_cosignature_is(
    seconds: int, max_age_s: int | None, holds: bool
) -> None:
    anchor = at(seconds, max_age_s=max_age_s)
    if holds:
        assert "final" in check_checkpoint(DEMO["checkpoint"], anchor).sentence
    else:
        with pytest.raises(Refused, match=r"stale|ahead of this clock") as caught:
            check_checkpoint(DEMO["checkpoint"], anchor)
        assert caught.value.code == Code.STALE


def test_a_head_that_nobody_dated_is_stale_when_an_age_is_asked_for(
    files: Path, capsys: Any
) -> None:
    told = ask(
        capsys, "checkpoint", files / "checkpoint", "--key", KEY, "--max-age-s", "1000000000"
    )
    refused(told, Code.STALE, "nobody dated this head")


# --- policy -------------------------------------------------------------------------------------


def test_a_policy_file_is_met(files: Path, capsys: Any) -> None:
    told = ask(capsys, "policy", files / "policy", files / "checkpoint")
    assert told.code == 0
    assert len(told.facts["cosigners"]) == 3


def test_a_policy_that_asks_for_a_stranger_is_not_met(files: Path, capsys: Any) -> None:
    stranger = format_vkey(NoteKey("x/w9", COSIGNATURE, ed25519("w9").public))
    (files / "policy").write_text(f"log {KEY}\nwitness w9 {stranger}\nquorum w9\n")
    told = ask(capsys, "policy", files / "policy", files / "checkpoint")
    refused(told, Code.POLICY, "cosigned by nobody")


def test_a_cosignature_that_does_not_verify_spoils_the_note(files: Path, capsys: Any) -> None:
    text = DEMO["checkpoint"].partition("\n\n")[0] + "\n"
    other = cosign(text + "x\n", 1_767_225_600, "x/w9", ed25519("w9"))
    stranger = format_vkey(NoteKey("x/w9", COSIGNATURE, ed25519("w9").public))
    (files / "policy").write_text(f"log {KEY}\nwitness w9 {stranger}\nquorum w9\n")
    (files / "checkpoint").write_text(DEMO["checkpoint"] + other)
    told = ask(capsys, "policy", files / "policy", files / "checkpoint")
    refused(told, Code.SIGNATURE, "the cosignature by x/w9 does not verify")


def test_a_checkpoint_of_no_log_in_the_policy_is_foreign(files: Path, capsys: Any) -> None:
    other = format_vkey(NoteKey("example.org/other", 1, ed25519("other").public))
    (files / "policy").write_text(policy(log=other))
    told = ask(capsys, "policy", files / "policy", files / "checkpoint")
    refused(told, Code.FOREIGN, "of no log that the policy names")


# --- proof --------------------------------------------------------------------------------------


def test_an_entry_is_proven_to_stand_in_the_log(files: Path, capsys: Any) -> None:
    proof, entry = files / "entry.tlog-proof", files / "entry.cose"
    told = ask(capsys, "proof", proof, "--entry", entry, "--trust", files / "trust.toml")
    assert told.code == 0
    assert told.facts["entry_id"] == DEMO["leaf_hashes"][4]
    assert told.facts["kid"] == DEMO["kid"]
    assert told.verdict.startswith("entry 4 (content type 112, signed by key 0de8a858fcdc4930)")


def test_an_id_proves_as_well_as_the_bytes(files: Path, capsys: Any) -> None:
    proof = files / "entry.tlog-proof"
    right, wrong = DEMO["leaf_hashes"][4], DEMO["leaf_hashes"][5]
    assert ask(capsys, "proof", proof, "--id", right, "--key", KEY).code == 0
    told = ask(capsys, "proof", proof, "--id", wrong, "--key", KEY)
    refused(told, Code.PROOF, "leaf 4 is not under this root")
    refused(ask(capsys, "proof", proof, "--id", "xyz", "--key", KEY), Code.MALFORMED, "no entry id")


def test_another_entry_is_not_proven(files: Path, capsys: Any) -> None:
    (files / "entry.cose").write_bytes(bytes.fromhex(DEMO["entries"][3]))
    told = ask(
        capsys, "proof", files / "entry.tlog-proof", "--entry", files / "entry.cose", "--key", KEY
    )
    refused(told, Code.PROOF, "leaf 4 is not under this root")


def test_without_an_entry_the_verdict_says_that_none_was_checked(files: Path, capsys: Any) -> None:
    told = ask(capsys, "proof", files / "entry.tlog-proof", "--key", KEY)
    assert told.code == 0
    assert "entry_id" not in told.facts
    assert told.verdict.startswith("the checkpoint alone")


def test_every_bit_of_a_proof_matters() -> None:
    """But for those that nobody signed: `extra`, and lines of witnesses that are not known."""
    anchor = at(0, max_age_s=None)
    raw = DEMO["tlog_proof"].encode()
    assert check_proof(DEMO["tlog_proof"], ENTRY, None, anchor).facts["index"] == 4
    taken = [
        (at_byte, bit)
        for at_byte in range(len(raw))
        for bit in range(8)
        if holds(raw, at_byte, bit, anchor)
    ]
    # A name or key id that differs makes a known witness an unknown one, and two are enough.
    first_witness = DEMO["tlog_proof"].encode().index("— gridtally.example/w1".encode())
    assert [place for place in taken if place[0] < first_witness] == []


def holds(raw: bytes, at_byte: int, bit: int, anchor: Anchor) -> bool:
    flipped = bytearray(raw)
    flipped[at_byte] ^= 1 << bit
    try:
        check_proof(bytes(flipped).decode(), ENTRY, None, anchor)
    except (MessageError, UnicodeDecodeError, Refused):
        return False
    return True


def test_every_bit_of_the_entry_matters() -> None:
    anchor = at(0, max_age_s=None)
    for at_byte in range(len(ENTRY)):
        for bit in range(8):
            flipped = bytearray(ENTRY)
            flipped[at_byte] ^= 1 << bit
            with pytest.raises(MessageError):
                check_proof(DEMO["tlog_proof"], bytes(flipped), None, anchor)


# --- consistency --------------------------------------------------------------------------------


def test_a_newer_head_continues_an_older_one(files: Path, capsys: Any) -> None:
    words = ("consistency", files / "old", files / "checkpoint", "--proof", files / "proof.txt")
    told = ask(capsys, *words, "--key", KEY)
    assert told.code == 0
    assert (told.facts["old_size"], told.facts["size"]) == (3, 7)


def test_a_head_continues_itself_without_a_proof(files: Path, capsys: Any) -> None:
    words = ("consistency", files / "checkpoint", files / "checkpoint")
    assert ask(capsys, *words, "--key", KEY).code == 0


def test_a_proof_that_is_missing_short_or_changed_shows_nothing(files: Path, capsys: Any) -> None:
    words = ("consistency", files / "old", files / "checkpoint", "--key", KEY)
    refused(ask(capsys, *words), Code.PROOF, "empty")
    lines = (files / "proof.txt").read_text().splitlines(keepends=True)
    for broken in (lines[:-1], [*lines, lines[0]], lines[::-1], [lines[0], lines[0], *lines[2:]]):
        (files / "broken").write_text("".join(broken))
        assert ask(capsys, *words, "--proof", files / "broken").code == Code.PROOF
    (files / "broken").write_text("no base64\n")
    assert ask(capsys, *words, "--proof", files / "broken").code == Code.MALFORMED


def test_heads_in_the_wrong_order_are_told(files: Path, capsys: Any) -> None:
    words = ("consistency", files / "checkpoint", files / "old", "--proof", files / "proof.txt")
    refused(ask(capsys, *words, "--key", KEY), Code.PROOF, "the old head has 7 entries, the new 3")


# --- the program --------------------------------------------------------------------------------


def test_a_verdict_is_one_line_of_plain_text(files: Path, capsys: Any) -> None:
    assert main(["checkpoint", str(files / "checkpoint"), "--key", KEY]) == 0
    out = capsys.readouterr().out
    assert out.startswith("valid: gridtally.example/hub1 of 7 entries")
    assert out.count("\n") == 1
    (files / "checkpoint").write_text("\x1b[2J\nno note")
    assert main(["checkpoint", str(files / "checkpoint"), "--key", KEY]) == Code.MALFORMED
    out = capsys.readouterr().out
    assert out.startswith("NOT VALID (malformed): ")
    assert out.count("\n") == 1
    assert "\x1b" not in out


def test_what_cannot_be_read_is_told_apart_from_what_is_wrong(files: Path, capsys: Any) -> None:
    assert ask(capsys, "checkpoint", files / "none", "--key", KEY).code == Code.UNREADABLE
    (files / "bytes").write_bytes(b"\xff\xfe")
    assert ask(capsys, "checkpoint", files / "bytes", "--key", KEY).code == Code.MALFORMED


@pytest.mark.parametrize(
    "words", [[], ["checkpoint"], ["nothing"], ["checkpoint", "x", "--key", "k", "--trust", "t"]]
)
def test_a_wrong_command_line_ends_with_2(words: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == Code.USAGE
    assert "usage: gridtally-verify" in capsys.readouterr().err


def test_help_teaches_every_exit_code(capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for code in Code:
        assert f"{int(code):2}  {code.name.lower()}" in text


def test_the_program_loads_nothing_that_could_open_a_connection() -> None:
    """In a process of its own: the tests' own imports would hide what it brings along."""
    said = "import sys; before = set(sys.modules); import member.verify; "
    said += "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {PATHS!r}; {said}"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ended.stdout.split())
    assert {"cbor2", "cryptography", "messages"} <= loaded
    assert (
        loaded & {"socket", "ssl", "http", "urllib3", "asyncio", "sqlite3", "typer", "hub"} == set()
    )
