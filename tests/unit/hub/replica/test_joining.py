"""A node that comes late begins behind a snapshot, and believes it only by a final header."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hub.core.state import State
from hub.market.catalog import CONTRACTS
from hub.replica.catching import Course, catch_up
from hub.replica.errors import SourceAway, SourceWrong
from hub.replica.execution import Execution
from hub.replica.following import Following
from hub.replica.joining import join
from hub.replica.mirror import Mirror
from messages.log.cosignature import cosign
from messages.log.note import COSIGNATURE, NoteKey, format_vkey, parse_note
from messages.trust import Trust
from tests.support.served_log import ServedLog, mirror_in, sources
from tests.support.signers import ed25519
from tests.support.village import KWH, Village
from tests.support.village_ledger import VKEY, trust_of

READS = 150


class Late:
    """A log of more than two bundles with a snapshot behind one of its closes."""

    def __init__(self) -> None:
        self.grown = Village(signed=True)
        self.grown.meter("ann-pv", "ann", "generation")
        self.grown.meter("ben-load", "ben", "consumption")
        self.snapshot = State()
        for slot in range(READS):
            self.grown.read("ann-pv", slot, exported=slot * 5 * KWH)
            self.grown.read("ben-load", slot, imported=slot * 3 * KWH)
            if slot:
                self.grown.close(slot - 1)
                if slot == READS - 10:
                    self.snapshot = self.grown.state.copy()
                    self.size = len(self.grown.entries)
                self.grown.header()
        self.log = ServedLog([entry.raw for entry in self.grown.entries])
        self.offer(self.snapshot)

    def offer(self, state: State) -> None:
        self.log.extras["snapshot"] = f"{self.size} {state.root().hex()}\n".encode()
        self.log.extras[f"snapshot/{self.size}"] = state.dumps()

    @property
    def trust(self) -> Trust:
        return trust_of(self.grown)

    def parts(self, folder: Path) -> tuple[Mirror, Execution]:
        path = folder / "standing"
        folder.mkdir(exist_ok=True)
        made = Execution(path, self.trust, CONTRACTS, lambda index: None, workers=1)
        return mirror_in(folder), made


@pytest.fixture(scope="module")
def made() -> Late:
    return Late()


@pytest.fixture
def late(made: Late) -> Late:
    made.offer(made.snapshot)
    made.log.asked.clear()
    return made


def silent(_done: int, _of: int) -> None:
    pass


def test_it_replays_only_the_tail_and_fills_in_the_rest(late: Late, tmp_path: Path) -> None:
    mirror, execution = late.parts(tmp_path)
    following = Following(mirror, execution, sources(late.log))
    following.begin_behind_snapshot(execution, late.trust)
    following.turn()
    assert execution.size == len(late.log.raws)
    assert execution.state == late.grown.state
    assert execution.root == late.grown.log.root()
    assert "began after entry" in following.standing.notes[0]
    following.turn()
    assert mirror.first == 0
    assert list(mirror_in(tmp_path).entries(0, late.size)) == list(
        enumerate(late.log.raws[: late.size])
    )
    execution.keep()
    again = late.parts(tmp_path)[1]  # a later start goes on from there
    assert again.state == late.grown.state


def test_what_it_left_out_is_not_fetched_first(late: Late, tmp_path: Path) -> None:
    mirror, execution = late.parts(tmp_path)
    join(mirror, execution, sources(late.log), late.trust, silent)
    assert late.size <= execution.size < len(late.log.raws)
    assert mirror.first == late.size // 256 * 256 > 0
    assert "tile/entries/000" not in late.log.asked


def test_a_state_that_no_header_vouches_for_is_not_believed(late: Late, tmp_path: Path) -> None:
    forged = late.snapshot.copy()
    forged.accounts["ann"] += 1
    late.offer(State.loads(forged.dumps()))
    mirror, execution = late.parts(tmp_path)
    told = join(mirror, execution, sources(late.log), late.trust, silent)
    assert "began with entry 0" in told
    assert execution.size == 0
    assert execution.state == State()
    following = Following(mirror, execution, sources(late.log))
    following.turn()  # it fills in what was left out, and executes all of it
    following.turn()
    assert execution.state == late.grown.state


def test_a_snapshot_that_is_not_what_its_list_says_is_refused(late: Late, tmp_path: Path) -> None:
    forged = late.snapshot.copy()
    forged.accounts["ann"] += 1
    late.log.extras[f"snapshot/{late.size}"] = State.loads(forged.dumps()).dumps()
    with pytest.raises(SourceWrong, match="is another one"):
        join(*late.parts(tmp_path), sources(late.log), late.trust, silent)
    late.log.extras[f"snapshot/{late.size}"] = b"\x80"
    with pytest.raises(SourceWrong):
        join(*late.parts(tmp_path), sources(late.log), late.trust, silent)


def test_a_head_without_its_quorum_is_not_begun_with(late: Late, tmp_path: Path) -> None:
    witness = NoteKey("w.example/1", COSIGNATURE, ed25519("w1").public)
    policy = f"log {VKEY}\nwitness w1 {format_vkey(witness)}\nquorum w1\n"
    trust = replace(late.trust, policy=policy)
    mirror, execution = late.parts(tmp_path)
    with pytest.raises(SourceAway, match="not final by the quorum"):
        join(mirror, execution, sources(late.log), trust, silent)
    assert execution.size == 0
    note = late.log.note()
    line = cosign(parse_note(note).text, 7, witness.name, ed25519("w1"))
    late.log.extras["checkpoint"] = (note + line).encode()
    try:
        assert "began after" in join(mirror, execution, sources(late.log), trust, silent)
    finally:
        del late.log.extras["checkpoint"]


def test_a_snapshot_of_another_network_is_refused(late: Late, tmp_path: Path) -> None:
    trust = replace(late.trust, network_id=bytes(32))
    with pytest.raises(SourceWrong, match="of another network"):
        join(*late.parts(tmp_path), sources(late.log), trust, silent)


def test_one_call_brings_a_folder_up_and_goes_on_where_it_was(late: Late, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    course = Course(
        late.trust, sources(late.log), CONTRACTS, lambda index: None, 1, behind_snapshot=True
    )
    late.log.size = late.size + 2
    caught = catch_up(tmp_path / "r", course, lambda done, of: told.append((done, of)))
    assert (caught.mirrored, caught.executed) == (late.size + 2, late.size + 2)
    assert caught.first == late.size // 256 * 256
    assert told[-1] == (late.size + 2, late.size + 2)
    late.log.size = None
    caught = catch_up(tmp_path / "r", course, silent)
    assert caught.executed == len(late.log.raws)
