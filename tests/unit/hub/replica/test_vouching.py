"""A replica answers as a witness does, and cosigns only what it got and found right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.cosigning.evidence import EvidenceFolder
from hub.market.catalog import CONTRACTS
from hub.replica import home, report
from hub.replica.execution import Execution
from hub.replica.following import Following
from hub.replica.home import EXECUTES, MIRRORS
from hub.replica.vouching import VouchingWitness
from messages.evidence import check_heads, parse_evidence
from messages.log.cosignature import open_cosignatures
from messages.log.submission import Submission, format_submission
from messages.log.tree import leaf_hash, prove_consistency, subtree_of
from tests.support.served_log import LOG_KEY, ServedLog, mirror_in, sources
from tests.support.village import KWH, Village
from tests.support.village_ledger import trust_of
from tests.unit.hub.replica.test_execution import village


class Bench:
    """One replica in a folder, whose thread a test starts and stops."""

    def __init__(self, folder: Path, grown: Village, meaning: str = EXECUTES) -> None:
        self.folder = folder
        self.grown = grown
        self.log = ServedLog([entry.raw for entry in grown.entries])
        if not (folder / "cosigner.pem").exists():
            home.found(folder, "ann", "replica.example/ann", meaning)
        self.home = home.open_home(folder)
        execution = None
        if self.home.executes:
            path = folder / "standing"
            execution = Execution(path, trust_of(grown), CONTRACTS, lambda index: None, workers=1)
        self.following = Following(mirror_in(folder), execution, sources(self.log), poll_s=0.01)
        evidence = EvidenceFolder(folder / "evidence")
        self.witness = VouchingWitness(self.home, LOG_KEY, evidence, self.following, lambda: 7)

    def grow(self) -> None:
        self.log.raws = [entry.raw for entry in self.grown.entries]

    def start(self) -> None:
        self.following.thread.start()

    def close(self) -> None:
        self.following.stop()
        self.home.memory.close()

    def submit(self, size: int, old: int = 0, log: ServedLog | None = None) -> tuple[int, str]:
        shown = log or self.log
        leaves = [leaf_hash(raw) for raw in shown.raws[:size]]
        proof = tuple(prove_consistency(old, size, subtree_of(leaves))) if old else ()
        text = format_submission(Submission(old, proof, shown.note(size)))
        answer = self.witness.add(text.encode())
        return answer.status, answer.body


@pytest.fixture
def benches(tmp_path: Path) -> Iterator[list[Bench]]:
    made: list[Bench] = []
    yield made
    for bench in made:
        bench.close()


def test_it_fetches_executes_and_then_cosigns(tmp_path: Path, benches: list[Bench]) -> None:
    bench = Bench(tmp_path, village())
    benches.append(bench)
    bench.log.size = 3  # a source shows everybody less than the log shows us
    bench.start()
    size = len(bench.log.raws)
    status, line = bench.submit(size)
    assert status == 200
    (found,) = open_cosignatures(bench.log.note() + line, (bench.home.key,))
    assert found.time_s == 7
    assert bench.following.done == size
    assert bench.witness.cosigned == size
    assert bench.submit(3, old=3)[0] == 409


def test_what_it_has_not_got_it_does_not_cosign(
    tmp_path: Path, benches: list[Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.replica.vouching.VOUCH_WITHIN_S", 0.2)
    bench = Bench(tmp_path, village())
    benches.append(bench)
    bench.log.gets_left = 0
    bench.start()
    status, reason = bench.submit(9)
    assert status == 503
    assert "has 0 of 9 entries, and catches up; memory:log is away" in reason
    assert bench.witness.cosigned == 0
    bench.log.gets_left = None
    while bench.submit(9)[0] == 503:
        pass
    assert bench.witness.cosigned == 9


def test_a_wrong_result_is_never_cosigned_and_what_stood_before_it_is(
    tmp_path: Path, benches: list[Bench]
) -> None:
    grown = village(2)
    right = len(grown.entries)
    grown.read("ann-pv", 3, exported=15 * KWH)
    grown.read("ben-load", 3, imported=9 * KWH)
    grown.close(2)
    grown.header(state_root=b"\1" * 32)
    bench = Bench(tmp_path, grown)
    benches.append(bench)
    bench.start()
    status, reason = bench.submit(len(bench.log.raws))
    assert (status, "state root" in reason) == (422, True)
    assert bench.submit(right)[0] == 200
    assert bench.submit(len(bench.log.raws), old=right)[0] == 422
    facts = report.facts(bench.home, bench.following, bench.witness.cosigned, "ann")
    assert next(report.lines(facts)).startswith("WRONG: entry")
    assert bench.witness.cosigned == right


def test_a_fork_is_refused_and_kept_as_evidence(tmp_path: Path, benches: list[Bench]) -> None:
    bench = Bench(tmp_path, village(2))
    benches.append(bench)
    fork = ServedLog([*bench.log.raws[:5], b"another", b"history", b"of it"])
    bench.start()
    assert bench.submit(7)[0] == 200
    honest, bench.log.raws = bench.log.raws, fork.raws
    assert bench.submit(8, old=7)[0] == 422  # the proof fails: a witness would say so, too
    held = Bench.submit  # a first head of a fork, for who has cosigned nothing of it
    assert held(bench, 8, 0, fork)[0] == 409
    bench.log.raws = honest


def test_a_fork_that_comes_with_the_first_head_is_convicted(
    tmp_path: Path, benches: list[Bench]
) -> None:
    bench = Bench(tmp_path, village(2))
    benches.append(bench)
    bench.following.turn()  # it follows what the source shows, and has cosigned nothing yet
    fork = ServedLog([*bench.log.raws[:5], *(b"other %d" % n for n in range(40))])
    bench.log.raws = fork.raws
    bench.start()
    status, reason = bench.submit(45)
    assert status == 422
    assert "do not continue its own" in reason
    (file,) = (tmp_path / "evidence").iterdir()
    check_heads(parse_evidence(file.read_text()), LOG_KEY)  # type: ignore[arg-type]


def test_one_that_only_mirrors_says_so_and_executes_nothing(
    tmp_path: Path, benches: list[Bench]
) -> None:
    grown = village(1)
    grown.read("ann-pv", 2, exported=9 * KWH)
    grown.read("ben-load", 2, imported=9 * KWH)
    grown.close(1)
    grown.header(state_root=b"\1" * 32)
    bench = Bench(tmp_path, grown, MIRRORS)
    benches.append(bench)
    bench.start()
    assert bench.submit(len(bench.log.raws))[0] == 200
    facts = report.facts(bench.home, bench.following, bench.witness.cosigned, "")
    assert facts["executed"] is None
    assert any("Nothing is executed again here" in line for line in report.lines(facts))


def test_after_a_start_it_goes_on_where_it_was(tmp_path: Path, benches: list[Bench]) -> None:
    grown = village(2)
    first = Bench(tmp_path, grown)
    first.start()
    size = len(first.log.raws)
    assert first.submit(size)[0] == 200
    first.close()
    grown.read("ann-pv", 3, exported=15 * KWH)
    again = Bench(tmp_path, grown)
    benches.append(again)
    again.start()
    assert again.submit(size + 1)[0] == 409
    assert again.submit(size + 1, old=size)[0] == 200
    assert [path for path in again.log.asked if path.startswith("tile/entries")] != []
