"""Every sum again: right is right, wrong stays wrong, and a kill costs only time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hub.auditing.refold import LogWrong
from hub.core.effects import Effect
from hub.market.catalog import CONTRACTS
from hub.replica.errors import MirrorDamaged
from hub.replica.execution import Execution
from messages.entries import KeyEntry
from messages.trust import Trust
from tests.support.signers import ed25519
from tests.support.village import KWH, Village
from tests.support.village_ledger import trust_of


def village(slots: int = 4) -> Village:
    made = Village(signed=True)
    made.meter("ann-pv", "ann", "generation")
    made.meter("ben-load", "ben", "consumption")
    for slot in range(slots + 1):
        made.read("ann-pv", slot, exported=slot * 5 * KWH)
        made.read("ben-load", slot, imported=slot * 3 * KWH)
        if slot:
            made.close(slot - 1)
            made.header()
    return made


def execution(folder: Path, trust: Trust) -> Execution:
    return Execution(folder / "standing", trust, CONTRACTS, lambda index: None, workers=1)


def run(made: Execution, grown: Village, stop: int | None = None) -> list[Effect]:
    seen: list[Effect] = []
    upto = len(grown.entries) if stop is None else stop
    entries = ((at, grown.entries[at].raw) for at in range(made.size, upto))
    made.advance(entries, upto, lambda done, of: None, lambda index, effects: seen.extend(effects))
    return seen


def test_it_comes_to_the_hubs_state_from_the_bytes_alone(tmp_path: Path) -> None:
    grown = village()
    made = execution(tmp_path, trust_of(grown))
    run(made, grown)
    assert made.size == len(grown.entries)
    assert made.state.root() == grown.state.root()
    assert made.root == grown.log.root()


def test_stopped_after_any_entry_a_later_start_comes_to_the_same(tmp_path: Path) -> None:
    grown = village(2)
    for stop in range(len(grown.entries)):
        folder = tmp_path / str(stop)
        folder.mkdir()
        first = execution(folder, trust_of(grown))
        run(first, grown, stop)
        first.keep()
        second = execution(folder, trust_of(grown))
        assert second.size == stop
        run(second, grown)
        assert second.state == grown.state
        assert second.root == grown.log.root()


def test_what_was_not_kept_is_done_again(tmp_path: Path) -> None:
    grown = village()
    first = execution(tmp_path, trust_of(grown))
    run(first, grown, 5)
    first.keep()
    run(first, grown)
    second = execution(tmp_path, trust_of(grown))
    assert second.size == 5
    run(second, grown)
    assert second.state == grown.state


def test_a_hubs_header_with_a_wrong_state_root_ends_it_before_that_entry(tmp_path: Path) -> None:
    grown = village(2)
    grown.read("ann-pv", 3, exported=15 * KWH)
    grown.read("ben-load", 3, imported=9 * KWH)
    grown.close(2)
    wrong = len(grown.entries)
    grown.header(state_root=b"\1" * 32)
    made = execution(tmp_path, trust_of(grown))
    for _ in range(2):  # a later start finds the same
        with pytest.raises(LogWrong, match=f"entry {wrong}: the hub signed block 2 with the state"):
            run(made, grown)
        assert made.size == wrong
        made = execution(tmp_path, trust_of(grown))


def test_a_wrong_log_root_or_results_root_ends_it(tmp_path: Path) -> None:
    for field in ("log_root", "results_root"):
        grown = village(1)
        grown.read("ann-pv", 2, exported=15 * KWH)
        grown.read("ben-load", 2, imported=9 * KWH)
        grown.close(1)
        grown.header(**{field: b"\1" * 32})
        made = execution(tmp_path, trust_of(grown))
        with pytest.raises(LogWrong):
            run(made, grown)
        assert made.size == len(grown.entries) - 1


def test_every_entry_with_a_changed_byte_is_refused(tmp_path: Path) -> None:
    grown = village(1)
    for at, entry in enumerate(grown.entries):
        raw = entry.raw[:-1] + bytes((entry.raw[-1] ^ 1,))
        grown.entries[at] = replace(entry, raw=raw)
        made = execution(tmp_path, trust_of(grown))
        with pytest.raises(LogWrong, match=f"entry {at}: "):
            run(made, grown)
        assert made.size == at
        grown.entries[at] = entry


def test_a_key_that_does_not_agree_is_refused(tmp_path: Path) -> None:
    grown = village(1)
    key = ed25519("eve").public.cose_key
    grown.put(grown.administrator, KeyEntry("enrol", "member", "eve", key, proof=b"\1" * 64))
    made = execution(tmp_path, trust_of(grown))
    with pytest.raises(LogWrong):
        run(made, grown)
    assert made.size == len(grown.entries) - 1


def test_another_network_is_refused_at_its_first_entry(tmp_path: Path) -> None:
    grown = village(1)
    made = execution(tmp_path, replace(trust_of(grown), hub_key=ed25519("eve").public))
    with pytest.raises(LogWrong, match="not the genesis of the network"):
        run(made, grown)
    assert made.size == 0


def test_a_file_that_was_changed_is_not_gone_on_from(tmp_path: Path) -> None:
    grown = village(1)
    made = execution(tmp_path, trust_of(grown))
    run(made, grown)
    made.keep()
    path = tmp_path / "standing"
    raw = path.read_bytes()
    for at in (0, 40, len(raw) - 1):
        path.write_bytes(raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :])
        with pytest.raises(MirrorDamaged, match="remove it"):
            execution(tmp_path, trust_of(grown))
