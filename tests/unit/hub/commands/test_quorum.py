"""A quorum is put into trust.toml whole or not at all; heads that others show are compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.commands.quorum import EXAMPLE
from hub.starting import Opened, open_hub, read_trust
from messages.errors import BadProof
from messages.evidence import Heads, check_heads, format_evidence, parse_evidence
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.note import parse_vkey
from messages.log.policy import parse_policy
from tests.support.hub_bench import Bench
from tests.support.signers import ed25519


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def run(bench: Bench, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(bench.folder / "hub.toml")])


def write(bench: Bench, text: str) -> str:
    path = bench.folder / "file"
    path.write_text(text)
    return str(path)


def test_the_example_is_a_policy_that_can_be_put_into_force(bench: Bench) -> None:
    before = read_trust(bench.folder / "trust.toml")
    shown = CliRunner().invoke(app, ["quorum", "--example"])
    assert shown.stdout == EXAMPLE
    done = run(bench, "quorum", write(bench, EXAMPLE))
    assert done.exit_code == 0
    after = read_trust(bench.folder / "trust.toml")
    assert after.policy == f"log {before.log_vkey}\n{EXAMPLE}"
    assert after.policy == done.stdout == run(bench, "quorum").stdout
    assert after.network_id == before.network_id
    policy = parse_policy(after.policy)
    assert policy.urls == {"w1": "https://w.test", "w2": "https://x.test"}
    opened = open_hub(bench.config)
    assert opened.policy == policy
    opened.close()


def test_a_policy_that_names_our_log_is_taken_as_it_is(bench: Bench) -> None:
    vkey = read_trust(bench.folder / "trust.toml").log_vkey
    whole = f"# ours\nlog {vkey}\nquorum none\n"
    assert run(bench, "quorum", write(bench, whole)).stdout == whole


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("", "no quorum line"),
        ("witness w1 what\nquorum w1\n", "line 1: a vkey is"),
        ("quorum w9\n", "'w9' is not defined"),
        (
            "log gridtally.example/hub1+1d78b0ab+AUU9zP+mY6t/L1ps4JaouUzW37dk+JKds+jmmAzGFdTD\n"
            "quorum none\n",
            "names another log",
        ),
    ],
)
def test_a_wrong_policy_changes_nothing(bench: Bench, text: str, finding: str) -> None:
    before = (bench.folder / "trust.toml").read_text()
    done = run(bench, "quorum", write(bench, text))
    assert done.exit_code == 78
    assert finding in done.stderr
    assert (bench.folder / "trust.toml").read_text() == before


def test_a_hub_of_a_wrong_policy_does_not_start(bench: Bench) -> None:
    path = bench.folder / "trust.toml"
    path.write_text(path.read_text().replace("quorum none", "quorum nobody"))
    done = run(bench, "run")
    assert (done.exit_code, "'nobody' is not defined" in done.stderr) == (78, True)


# --- evidence ------------------------------------------------------------------------------


@pytest.fixture
def opened(bench: Bench) -> Iterator[Opened]:
    made = bench.open()
    assert set(bench.enrol(bench.spine(made))) == {""}
    bench.spine(made).sign_checkpoint()
    yield made
    made.close()


def signed(opened: Opened, size: int, root: bytes) -> str:
    return sign_checkpoint(Checkpoint(opened.trust.origin, size, root), opened.pen.log)


def kept(bench: Bench) -> list[Heads]:
    files = sorted((bench.folder / "evidence").glob("heads-*.json"))
    found = [parse_evidence(file.read_text()) for file in files]
    return [each for each in found if isinstance(each, Heads)]


def test_a_head_that_the_ledger_continues_is_well(bench: Bench, opened: Opened) -> None:
    store = opened.recorder.store
    for size in (0, 1, 3, store.size):
        note = signed(opened, size, store.root(size))
        done = run(bench, "evidence", write(bench, note))
        assert done.exit_code == 0, done.output
        assert done.stdout == f"the head over {size} entries is continued by this ledger\n"
    assert kept(bench) == []


@pytest.mark.parametrize("size", [2, 4, 6])
def test_a_head_of_another_history_becomes_evidence(
    bench: Bench, opened: Opened, size: int
) -> None:
    assert opened.recorder.store.size == 6
    done = run(bench, "evidence", write(bench, signed(opened, size, bytes(32))))
    assert done.exit_code == 65
    assert f"the head over {size} entries is of another history: evidence in " in done.stdout
    (heads,) = kept(bench)
    first, second = check_heads(heads, parse_vkey(opened.trust.log_vkey))
    assert (first.size, second.size) == (size, 6)


def test_heads_without_a_proof_get_one(bench: Bench, opened: Opened) -> None:
    ours = signed(opened, 6, opened.recorder.store.root())
    unproven = Heads(signed(opened, 3, bytes(32)), ours)
    key = parse_vkey(opened.trust.log_vkey)
    with pytest.raises(BadProof):
        check_heads(unproven, key)
    done = run(bench, "evidence", write(bench, format_evidence(unproven)))
    assert done.exit_code == 65
    (heads,) = kept(bench)
    assert heads.prefix_root
    check_heads(heads, key)


def test_a_head_beyond_the_ledger_says_what_that_means(bench: Bench, opened: Opened) -> None:
    done = run(bench, "evidence", write(bench, signed(opened, 99, bytes(32))))
    assert (done.exit_code, "this may be an old copy" in done.stdout) == (65, True)
    assert kept(bench) == []


def test_a_head_that_the_log_did_not_sign_is_no_evidence(bench: Bench, opened: Opened) -> None:
    head = Checkpoint(opened.trust.origin, 3, bytes(32))
    done = run(bench, "evidence", write(bench, sign_checkpoint(head, ed25519("thief"))))
    assert (done.exit_code, "signature" in done.stderr) == (65, True)
    assert run(bench, "evidence", write(bench, "hello\n")).exit_code == 65
