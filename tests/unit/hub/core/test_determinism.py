"""The same entries give the same root in any process: whatever its hash seed, in another Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]

PLAY = """
from hub.balancing.dep import Dep
from hub.balancing.policy import view_root
from tests.support.bench import house, view
from tests.support.village import KWH, Village, cut, relay

village = Village(parameters={"deficit": "supplier", "surplus": "storage"})
names = [f"m{n}" for n in range(12)]
for n, name in enumerate(names):
    village.meter(name, f"who{n // 2}", "net")
    village.read(name, 0, 0, 0)
village.node("pi", tuple(relay(f"r{n}", f"who{n}") for n in range(6)))
for n in range(6):
    village.replica(f"who{n}")
for slot in range(5):
    village.decide(slot * 3_600_000, *(cut(f"r{n}", f"who{n}", 1_000 + n) for n in range(6)))
    for n in range(6):
        village.ack(f"r{n}", slot * 3_600_000 + n, energised=slot % 2 == 0)
    for n, name in enumerate(names):
        if (n + slot) % 5:
            total = (slot + 1) * KWH
            village.read(name, slot + 1, total * (n % 3), total * ((n + 1) % 2))
    village.close(slot, "timeout")
    order = village.state.draw.order
    village.propose(order[slot % 2]) if order else village.header()
bench = view(*(house(f"m{n}", 7 * n, {f"a{n}": 20, f"b{n}": -30}) for n in range(9)))
verdict = Dep().decide(bench)
print(village.state.root().hex(), village.log.root().hex(), view_root(bench).hex())
print(verdict)
print(village.state.progress, village.state.accounts, village.state.draw)
print(village.state.standings)

from messages.disputes import DisputeRules
from messages.feeding import Feed, FeedRule
from tests.support.court import Court

rule = FeedRule("price", "meteo", 3_600_000, 1, 500_000)
court = Court(disputes=DisputeRules(4, 2, "halve"), feeds=(rule,))
meteo = court.feeder("meteo", price="utok_per_kwh", co2="g_per_kwh", sun="W/m2")
for slot in range(6):
    for fact, unit in (("price", "utok_per_kwh"), ("sun", "W/m2"), ("co2", "g_per_kwh")):
        at_ms = slot * 3_600_000
        court.put(meteo, Feed(fact, slot + 1, at_ms, 250_000 + slot, unit, at_ms + 9_000_000))
    court.trade(slot)
    for who, name, kind in ((court.bob, "bob", "purchase"), (court.ann, "ann", "sale")):
        court.dispute(who, court.line(name, slot, kind), 1_001 + slot)
    if slot % 2:
        court.rule(court.rita, max(court.state.disputes), "split", 7)
print(court.state.root().hex(), court.log.root().hex(), court.state.disputes, court.state.facts)
"""


OTHERS = tuple(f"python3.{minor}" for minor in range(11, 16))
LIBRARIES = "import cbor2, cryptography.hazmat.primitives.asymmetric.ed25519"


@cache
def play(seed: str, python: str = sys.executable) -> str:
    """Play in a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [python, "-B", "-c", PLAY],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=ROOT,
    )
    return done.stdout


def other_pythons() -> Iterator[str]:
    """Yield interpreters: what `.ci/other-python` made, then those on the PATH and under pyenv."""
    yield str(ROOT / ".venv-other/bin/python")
    yield from filter(None, map(shutil.which, OTHERS))
    roots = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, sorted(roots.glob("versions/3.*/bin/python3")))


def answer(python: str, code: str) -> str:
    """Return what an interpreter prints; "" where it does not run, or lacks a library."""
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def test_hash_seeds_do_not_matter() -> None:
    found = {play(seed) for seed in ("0", "1", "4242")}
    assert len(found) == 1
    assert len(found.pop().split()[0]) == 64


def test_another_python_gives_the_same_root() -> None:
    version = (
        "import sys; print(sys.version_info[:2] >= (3, 11) and '%d.%d' % sys.version_info[:2])"
    )
    here = answer(sys.executable, version)
    there = {python: answer(python, version) for python in other_pythons()}
    others = {python: found for python, found in there.items() if found not in ("", "False", here)}
    usable = [python for python in others if answer(python, f"{LIBRARIES}; print('yes')")]
    if not others:
        pytest.skip(f"no Python but {here} is installed here, of 3.11 and newer")
    if not usable:
        told = ", ".join(sorted(set(others.values())))
        pytest.skip(f"Python {told} is here without cbor2 and cryptography: run .ci/other-python")
    assert play("7", usable[0]) == play("0")
