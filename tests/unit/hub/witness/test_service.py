"""The status table of tlog-witness, cell by cell, and what stands on disk after each answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.cosigning.evidence import EvidenceFolder
from hub.errors import WitnessRefused
from hub.witness import home
from hub.witness.memory import Memory
from hub.witness.server import witness_of
from hub.witness.service import Answer, Witness
from messages.errors import BadProof, BadSignature, MessageError
from messages.evidence import Heads, check_heads, parse_evidence
from messages.log.checkpoint import open_checkpoint
from messages.log.cosignature import cosign, open_cosignatures
from messages.log.note import NoteKey, format_vkey, parse_vkey, signature_line
from messages.log.submission import SIZE_TYPE, Submission, format_submission, origin_hash
from messages.log.tree import EMPTY_ROOT
from tests.support.growing_log import ORIGIN, GrowingLog
from tests.support.signers import ed25519
from tests.support.vectors import vectors

NAME = "witness.example/w1"
DEMO = vectors("trust/checkpoint_cosignature_demo")


class Bench:
    """One witness in a folder, with a clock that a test moves."""

    def __init__(self, folder: Path, *vkeys: str) -> None:
        self.folder = folder
        self.key = home.found(folder, NAME, vkeys)
        self.now_s = 1_800_000_000
        self.opened: home.Home | None = None

    @property
    def home(self) -> home.Home:
        if self.opened is None:
            self.opened = home.open_home(self.folder)
        return self.opened

    @property
    def witness(self) -> Witness:
        return witness_of(self.home, lambda: self.now_s)

    def close(self) -> None:
        if self.opened is not None:
            self.opened.memory.close()
            self.opened = None

    def add(self, body: bytes) -> Answer:
        return self.witness.add(body)

    def size(self, origin: str = ORIGIN) -> int:
        held = self.home.memory.held(origin)
        return 0 if held is None else held.size

    def evidence(self, kind: str = "heads") -> list[Heads]:
        files = sorted((self.folder / "evidence").glob(f"{kind}-*.json"))
        found = [parse_evidence(file.read_text()) for file in files]
        assert all(isinstance(each, Heads) for each in found)
        return found  # type: ignore[return-value]


@pytest.fixture
def log() -> GrowingLog:
    return GrowingLog()


@pytest.fixture
def bench(tmp_path: Path, log: GrowingLog) -> Iterator[Bench]:
    made = Bench(tmp_path / "w1", log.vkey)
    yield made
    made.close()


def grown(bench: Bench, log: GrowingLog, size: int) -> None:
    """Let the witness cosign one checkpoint."""
    assert bench.add(log.submission(bench.size(), size)).status == 200


# --- 200 -----------------------------------------------------------------------------------


def test_a_first_checkpoint_is_cosigned_without_a_proof(bench: Bench, log: GrowingLog) -> None:
    answer = bench.add(log.submission(0, 5))
    assert (answer.status, answer.kind) == (200, "text/plain; charset=utf-8")
    (found,) = open_cosignatures(log.note(5) + answer.body, (bench.key,))
    assert (found.key, found.time_s) == (bench.key, bench.now_s)
    assert answer.body == found.line
    assert bench.size() == 5


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 7), (4, 8), (5, 5), (6, 300), (255, 257)])
def test_a_checkpoint_that_continues_is_cosigned(
    bench: Bench, log: GrowingLog, old: int, new: int
) -> None:
    grown(bench, log, old)
    answer = bench.add(log.submission(old, new))
    assert answer.status == 200
    assert open_cosignatures(log.note(new) + answer.body, (bench.key,))
    assert bench.size() == new


def test_an_empty_tree_is_cosigned_and_then_any_tree_continues_it(
    bench: Bench, log: GrowingLog
) -> None:
    assert bench.add(log.submission(0, 0)).status == 200
    assert bench.add(log.submission(0, 0)).status == 200
    assert bench.add(log.submission(0, 3)).status == 200
    assert bench.size() == 3


def test_each_log_has_its_own_memory(tmp_path: Path, log: GrowingLog) -> None:
    other = GrowingLog("log.example/two")
    bench = Bench(tmp_path, log.vkey, other.vkey)
    assert bench.add(log.submission(0, 9)).status == 200
    assert bench.add(other.submission(0, 4)).status == 200
    assert (bench.size(), bench.size(other.origin)) == (9, 4)
    bench.close()


def test_the_published_request_is_answered_with_a_cosignature(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DEMO["log_vkey"])
    first = format_submission(Submission(0, (), DEMO["checkpoint_3"]))
    assert bench.add(first.encode()).status == 200
    answer = bench.add(DEMO["add_checkpoint_body"].encode())
    assert answer.status == 200
    assert open_cosignatures(DEMO["checkpoint"] + answer.body, (bench.key,))
    bench.close()


def test_signatures_of_others_are_passed_over_and_not_shown_on(
    bench: Bench, log: GrowingLog
) -> None:
    stranger = ed25519("stranger")
    note = log.note(5)
    lines = [cosign(note[: note.index("\n\n") + 1], 7, f"w{n}", stranger) for n in range(40)]
    body = format_submission(Submission(0, (), note + "".join(lines)))
    assert bench.add(body.encode()).status == 200
    shown = bench.witness.newest(origin_hash(ORIGIN)).body
    assert shown.startswith(note)
    assert shown.count("\n— ") == 2


def test_a_time_is_never_before_the_last(bench: Bench, log: GrowingLog) -> None:
    grown(bench, log, 5)
    bench.now_s -= 3_600
    (answer, note) = (bench.add(log.submission(5, 6)), log.note(6))
    (found,) = open_cosignatures(note + answer.body, (bench.key,))
    assert found.time_s == bench.now_s + 3_600


def test_a_clock_at_its_beginning_makes_no_time_of_zero(tmp_path: Path, log: GrowingLog) -> None:
    bench = Bench(tmp_path, log.vkey)
    bench.now_s = 0
    answer = bench.add(log.submission(0, 1))
    (found,) = open_cosignatures(log.note(1) + answer.body, (bench.key,))
    assert found.time_s == 1
    bench.close()


# --- 400, 403, 404 -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"\xff\xfe",
        b"old 0\n\nno note",
        b"old 0\n\nlog.example/one\n5\nAAAA\n\n",
        "old 0\n\nlog.example/one\n05\nAAAA\n\n— x AAAAAAAA\n".encode(),
        "old 0\n\nlog.example/one\n5\nAAAA\n\n— x AAAAAAAA\n".encode(),
    ],
)
def test_400_for_what_is_malformed(bench: Bench, body: bytes) -> None:
    assert bench.add(body).status == 400
    assert bench.size() == 0


def test_400_for_every_cut_of_a_request(bench: Bench, log: GrowingLog) -> None:
    body = log.submission(0, 5)
    assert {bench.add(body[:end]).status for end in range(len(body))} <= {400, 403}
    assert bench.size() == 0


def test_400_for_a_thousand_signature_lines(bench: Bench, log: GrowingLog) -> None:
    line = signature_line(NoteKey("x", 4, log.signer.public), bytes(72))
    for count, status in ((17, 200), (1_000, 400)):
        body = format_submission(Submission(bench.size(), (), log.note(5) + line * count))
        assert bench.add(body.encode()).status == status


def test_400_for_an_old_size_above_the_new_one(bench: Bench, log: GrowingLog) -> None:
    grown(bench, log, 5)
    assert bench.add(log.submission(6, 5, ())).status == 400


def test_404_for_a_log_that_is_not_watched(bench: Bench) -> None:
    assert bench.add(GrowingLog("log.example/other").submission(0, 5)).status == 404


def test_403_without_a_signature_of_the_log(bench: Bench, log: GrowingLog) -> None:
    thief = GrowingLog(log.origin, signer=ed25519("thief"))
    assert bench.add(thief.submission(0, 5)).status == 403
    assert bench.size() == 0


def test_403_for_a_broken_signature_of_the_log_beside_a_good_one_of_others(
    bench: Bench, log: GrowingLog
) -> None:
    note = log.note(5)
    broken = note[: note.index("\n\n") + 2] + signature_line(log.key, bytes(64))
    body = format_submission(Submission(0, (), broken))
    assert bench.add(body.encode()).status == 403


def test_403_for_a_log_that_signs_with_its_key_for_another_origin(
    tmp_path: Path, log: GrowingLog
) -> None:
    other = GrowingLog("log.example/two", signer=ed25519("another"))
    bench = Bench(tmp_path, log.vkey, other.vkey)
    borrowed = GrowingLog("log.example/two", signer=log.signer)
    assert bench.add(borrowed.submission(0, 5)).status == 403
    bench.close()


# --- 409 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [0, 3, 4, 6, 7])
def test_409_names_the_size_cosigned_last(bench: Bench, log: GrowingLog, old: int) -> None:
    grown(bench, log, 5)
    answer = bench.add(log.submission(old, 7))
    assert (answer.status, answer.body, answer.kind) == (409, "5\n", "text/x.tlog.size")
    assert SIZE_TYPE == "text/x.tlog.size"
    assert bench.size() == 5


def test_409_names_zero_to_who_was_never_here(bench: Bench, log: GrowingLog) -> None:
    answer = bench.add(log.submission(3, 7))
    assert (answer.status, answer.body) == (409, "0\n")


def test_409_for_an_older_checkpoint_though_its_proof_is_right(
    bench: Bench, log: GrowingLog
) -> None:
    grown(bench, log, 3)
    late = log.submission(3, 5)
    grown(bench, log, 9)
    assert bench.add(late).status == 409
    assert bench.size() == 9


# --- 422 -----------------------------------------------------------------------------------


def refused(bench: Bench, submission: Submission) -> None:
    before = bench.home.memory.held(ORIGIN)
    assert bench.add(format_submission(submission).encode()).status == 422
    assert bench.home.memory.held(ORIGIN) == before


def test_422_for_no_entries_with_a_root(bench: Bench, log: GrowingLog) -> None:
    refused(bench, Submission(0, (), log.note(0, bytes(32))))
    assert bench.add(log.submission(0, 0)).status == 200
    assert log.root(0) == EMPTY_ROOT


def test_422_for_a_proof_from_nothing(bench: Bench, log: GrowingLog) -> None:
    refused(bench, Submission(0, (bytes(32),), log.note(5)))


def test_422_for_a_proof_from_a_tree_to_itself(bench: Bench, log: GrowingLog) -> None:
    grown(bench, log, 5)
    refused(bench, Submission(5, (bytes(32),), log.note(5)))
    assert bench.evidence() == bench.evidence("unproven") == []


def test_422_for_another_root_of_the_same_size_and_both_notes_are_evidence(
    bench: Bench, log: GrowingLog
) -> None:
    grown(bench, log, 5)
    refused(bench, Submission(5, (), log.fork(2).note(5)))
    (heads,) = bench.evidence()
    first, second = check_heads(heads, log.key)
    assert (first.size, first.root) == (5, log.root(5))
    assert (second.size, second.root) == (5, log.fork(2).root(5))


def test_409_with_another_root_of_the_size_held_is_evidence_too(
    bench: Bench, log: GrowingLog
) -> None:
    grown(bench, log, 5)
    fork = log.fork(2)
    assert bench.add(fork.submission(3, 5)).status == 409
    assert len(bench.evidence()) == 1


def test_422_for_a_tree_that_does_not_continue_and_it_is_kept_as_not_proven(
    bench: Bench, log: GrowingLog
) -> None:
    grown(bench, log, 5)
    fork = log.fork(2)
    refused(bench, Submission(5, fork.proof(5, 9), fork.note(9)))
    (heads,) = bench.evidence("unproven")
    with pytest.raises(BadProof):
        check_heads(heads, log.key)
    assert bench.evidence() == []


def test_422_for_every_change_to_a_proof(bench: Bench, log: GrowingLog) -> None:
    grown(bench, log, 6)
    right = log.proof(6, 13)
    for place, value in enumerate(right):
        wrong = (*right[:place], bytes([value[0] ^ 1]) + value[1:], *right[place + 1 :])
        refused(bench, Submission(6, wrong, log.note(13)))
    for wrong in (right[:-1], right[1:], (*right, bytes(32)), ()):
        refused(bench, Submission(6, wrong, log.note(13)))


def test_evidence_is_kept_once_and_not_without_end(
    bench: Bench, log: GrowingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.cosigning.evidence.FILES_MAX", 3)
    grown(bench, log, 5)
    for fork in (1, 1, 2, 3, 4, 1):
        refused(bench, Submission(5, (), log.fork(fork).note(5)))
    assert len(bench.evidence()) == 3


# --- what others may see -------------------------------------------------------------------


def test_the_newest_checkpoint_is_shown_with_both_signatures(bench: Bench, log: GrowingLog) -> None:
    assert bench.witness.newest(origin_hash(ORIGIN)).status == 404
    grown(bench, log, 5)
    grown(bench, log, 7)
    answer = bench.witness.newest(origin_hash(ORIGIN))
    assert answer.status == 200
    assert open_checkpoint(answer.body, log.key).size == 7
    assert len(open_cosignatures(answer.body, (bench.key,))) == 1
    assert bench.witness.newest(origin_hash("log.example/other")).status == 404


# --- what it remembers ---------------------------------------------------------------------


def test_a_kill_between_check_and_store_leaves_no_answer_and_no_memory(
    bench: Bench, log: GrowingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(bench, log, 3)

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Memory, "_store", killed)
        with pytest.raises(Killed):
            bench.add(log.submission(3, 7))
    bench.close()
    assert bench.size() == 3
    fork = log.fork(5)
    assert bench.add(fork.submission(3, 8)).status == 200
    assert bench.add(log.submission(3, 7)).status == 409


def test_what_was_cosigned_is_known_after_a_restart(bench: Bench, log: GrowingLog) -> None:
    grown(bench, log, 7)
    bench.close()
    assert bench.add(log.submission(0, 9)).body == "7\n"


def test_two_processes_on_one_memory_cannot_both_store(bench: Bench, log: GrowingLog) -> None:
    grown(bench, log, 3)
    other = home.open_home(bench.folder)
    assert bench.add(log.submission(3, 9)).status == 200
    answer = witness_of(other, lambda: bench.now_s).add(log.submission(3, 7))
    assert (answer.status, answer.body) == (409, "9\n")
    other.memory.close()


def test_a_lost_memory_retires_the_key(bench: Bench, log: GrowingLog) -> None:
    grown(bench, log, 3)
    bench.close()
    (bench.folder / "witness.db").unlink()
    with pytest.raises(WitnessRefused, match=r"what was cosigned last is lost.*retire its key"):
        home.open_home(bench.folder)
    with pytest.raises(WitnessRefused, match="a witness is here already"):
        home.found(bench.folder, NAME, ())
    (bench.folder / "witness.db").touch()
    with pytest.raises(WitnessRefused, match="is lost"):
        home.open_home(bench.folder)


def test_a_memory_that_is_broken_or_of_another_key_retires_the_key(
    bench: Bench, tmp_path: Path
) -> None:
    other = Bench(tmp_path / "w2")
    (other.folder / "witness.db").replace(bench.folder / "witness.db")
    with pytest.raises(WitnessRefused, match=r"was made for the key witness.example/w1.*retire"):
        home.open_home(bench.folder)
    (bench.folder / "witness.db").write_bytes(b"no database " * 100)
    with pytest.raises(WitnessRefused, match=r"cannot be read.*retire"):
        home.open_home(bench.folder)


def test_a_lost_key_is_said(bench: Bench) -> None:
    (bench.folder / "witness.pem").unlink()
    with pytest.raises(WitnessRefused, match="the key of this witness is lost"):
        home.open_home(bench.folder)


def test_a_founding_that_was_cut_short_is_finished_or_begun_again(
    tmp_path: Path, log: GrowingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("hub.witness.home.Memory.create", "hub.witness.home._finish"):
        with monkeypatch.context() as patch:
            patch.setattr(step, cut)
            with pytest.raises(KeyboardInterrupt):
                home.found(tmp_path, NAME, [log.vkey])
    opened = home.open_home(tmp_path)
    assert opened.key.public == opened.signer.public
    opened.memory.close()


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("no vkey\n", "line 1: a vkey is"),
        (f"# ours\n\n{DEMO['witness_vkeys'][0]}\n", "line 3: a log's key has type 0x01"),
    ],
)
def test_a_wrong_list_of_logs_is_named(bench: Bench, text: str, finding: str) -> None:
    (bench.folder / "logs").write_text(text)
    with pytest.raises(WitnessRefused, match=finding):
        home.open_home(bench.folder)


def test_logs_are_added_once(bench: Bench, log: GrowingLog) -> None:
    other = GrowingLog("log.example/two")
    for _ in range(2):
        home.add_logs(bench.folder, [other.vkey, log.vkey])
    assert [key.name for key in bench.home.logs] == [log.origin, other.origin]
    with pytest.raises(MessageError):
        home.add_logs(bench.folder, ["what"])


def test_a_name_that_no_note_can_carry_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(MessageError):
        home.found(tmp_path / "w", "two words", ())
    assert home.is_empty(tmp_path / "w")


def test_evidence_costs_only_itself_when_the_disk_refuses(tmp_path: Path, log: GrowingLog) -> None:
    (tmp_path / "evidence").write_text("a file stands in the way")
    folder = EvidenceFolder(tmp_path / "evidence")
    assert folder.keep(ORIGIN, Heads(log.note(5), log.fork(1).note(5))) is None


def test_a_cosignature_of_another_text_does_not_verify(bench: Bench, log: GrowingLog) -> None:
    answer = bench.add(log.submission(0, 5))
    with pytest.raises(BadSignature):
        open_cosignatures(log.note(6) + answer.body, (parse_vkey(format_vkey(bench.key)),))
