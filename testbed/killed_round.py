"""A hub that is killed in the middle of an auction's rounds, and what is lost by it.

Twelve members bid under seal for two slots; every register, commitment, revelation and close goes
through the hub's own ledger writer in a process of its own, which says so after each. It is killed
with SIGKILL after a chosen one, and whatever it was doing then. Then the ledger is opened as it
lies there, and played to its end by another process.

    python -m testbed.killed_round FOLDER     plays the rounds of a prepared folder, or the rest
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub.balancing.catalog import POLICIES
from hub.closing import COMPLETE, Closer, CloseRule, next_slot
from hub.commands.enrolling import Nobody, found_installation, sign_as_administrator
from hub.commands.founding import Plan
from hub.config import load_config
from hub.desk import Desk
from hub.inbox import Inbox
from hub.link.arrivals import Arrival
from hub.link.post import Post
from hub.market.catalog import CONTRACTS
from hub.spine import Spine
from hub.starting import Opened, open_hub
from keys.file import FileSigner, generate, load
from messages.entries import Call, KeyEntry, PolicyEntry, sign_entry
from messages.log.tree import leaf_hash
from messages.orders import Wish, commitment
from messages.reading import Reading, sign_reading
from testbed.errors import LedgerDisagrees
from testbed.supervisor import python

ROOT = Path(__file__).parent.parent
MICROGRID, NODE = "rounds", "node1"
MEMBERS, ROUNDS = 12, 2
SLOT_MS = 900_000
START_MS = 1_750_000_500_000
ENERGY_UWH = 1_000_000_000
SALT = bytes(16)
Told = dict[str, int | str | bytes | bool]
COMMITS, REVEALS, CLOSES = "commit", "reveal", "close"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that becomes durable: a register, a call, or a close. `raw` of a close is empty."""

    kind: str
    slot: int
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Killed:
    """What one kill did. `unsettled_uwh`: metered in slots that were not settled when it died.

    `back_s`: until ledger and state are open again.
    """

    kind: str
    bids_lost: int
    unsettled_uwh: int
    unsettled_after_uwh: int
    same_state: bool
    back_s: float


def killings(each: int) -> Iterator[Killed]:
    """Kill a hub so many times while it takes commitments, revelations, and closes."""
    with tempfile.TemporaryDirectory(prefix="gridtally-") as name:
        folder = Path(name) / "founded"
        _prepare(folder)
        steps = script(folder)
        whole = Path(name) / "whole"
        shutil.copytree(folder, whole)
        subprocess.run(_command(whole), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        root = _look(whole, ()).root
        for kind in (COMMITS, REVEALS, CLOSES):
            places = [place for place, step in enumerate(steps) if step.kind == kind]
            for turn in range(each):
                place = places[len(places) * (2 * turn + 1) // (2 * each)]
                killed = Path(name) / f"{kind}{turn}"
                shutil.copytree(folder, killed)
                yield _kill(killed, kind, steps, place, root)
                shutil.rmtree(killed)


def _kill(folder: Path, kind: str, steps: Sequence[Step], place: int, root: bytes) -> Killed:
    """Kill while the step at a place is on its way, and play to the end after that."""
    said = 0
    with subprocess.Popen(_command(folder), cwd=ROOT, stdout=subprocess.PIPE) as process:
        for line in process.stdout or ():
            said = int(line) + 1
            if said >= place:
                process.send_signal(signal.SIGKILL)
                break
    dead = _look(folder, steps[:said])
    subprocess.run(_command(folder), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = _look(folder, steps)
    lost = dead.bids_lost + after.bids_lost
    same = after.root == root
    return Killed(kind, lost, dead.unsettled_uwh, after.unsettled_uwh, same, dead.opened_s)


@dataclass(frozen=True, slots=True)
class Found:
    """What lies on a ledger: bids that it said it has and has not, energy in open slots, a root."""

    bids_lost: int
    unsettled_uwh: int
    root: bytes
    opened_s: float


def _look(folder: Path, said: Sequence[Step]) -> Found:
    begun_s = time.monotonic()
    opened = open_hub(load_config(folder / "hub.toml"))
    took_s = time.monotonic() - begun_s
    try:
        recorder = opened.recorder
        bids = [step for step in said if step.kind in (COMMITS, REVEALS)]
        lost = sum(not recorder.holds(leaf_hash(step.raw)) for step in bids)
        start_ms = next_slot(recorder.state) or START_MS
        ends = {step.slot for step in said if step.kind == "reading"}
        metered = [slot for slot in ends if slot and START_MS + slot * SLOT_MS > start_ms]
        return Found(lost, len(metered) * MEMBERS * ENERGY_UWH, recorder.state.root(), took_s)
    finally:
        opened.close()


# --- the rounds --------------------------------------------------------------------------------


def script(folder: Path) -> list[Step]:
    """Return all steps in order: the same bytes every time."""
    opened = open_hub(load_config(folder / "hub.toml"))
    network_id = opened.rules.network_id
    opened.close()
    keys = {name: load(folder / "people" / f"{name}.pem") for name in _names()}
    # Nobody may call before a slot has closed, so nothing is sold in the first.
    steps = [*_registers(folder, 0), *_registers(folder, 1), Step(CLOSES, 0)]
    for slot in range(1, ROUNDS + 2):
        if slot <= ROUNDS:
            for place, name in enumerate(_names()):
                sealed = commitment(name, _at(slot + 1), _wish(place), SALT)
                told: Told = {"slot_ms": _at(slot + 1), "commitment": sealed}
                raw = _call(keys[name], network_id, slot, COMMITS, told)
                steps.append(Step(COMMITS, slot, raw))
        if slot > 1:
            steps += _revelations(steps, keys, network_id, slot)
        steps += _registers(folder, slot + 1)
        steps.append(Step(CLOSES, slot))
    return steps


def _revelations(
    steps: Sequence[Step], keys: dict[str, FileSigner], network_id: bytes, slot: int
) -> Iterator[Step]:
    for place, name in enumerate(_names()):
        wish = _wish(place)
        told: Told = {
            "order": _call_id(keys[name], slot - 1, COMMITS).hex(),
            "salt": SALT,
            "side": wish.side,
            "energy_uwh": wish.energy_uwh or 0,
            "price_utok_per_kwh": wish.price_utok_per_kwh,
        }
        yield Step(REVEALS, slot, _call(keys[name], network_id, slot, REVEALS, told))


def _registers(folder: Path, slot: int) -> Iterator[Step]:
    for place, name in enumerate(_names()):
        signer = load(folder / "meters" / f"{name}.pem")
        total = slot * ENERGY_UWH
        imported, exported = (total, 0) if place % 2 else (0, total)
        reading = Reading(MICROGRID, f"{name}-net", slot + 1, _at(slot), imported, exported)
        yield Step("reading", slot, sign_reading(signer, reading))


def _names() -> list[str]:
    return [f"member{place:02d}" for place in range(MEMBERS)]


def _at(slot: int) -> int:
    return START_MS + slot * SLOT_MS


def _wish(place: int) -> Wish:
    return Wish("bid" if place % 2 else "ask", ENERGY_UWH, 150_000 + 1_000 * place)


def _call_id(signer: FileSigner, slot: int, method: str) -> bytes:
    return leaf_hash(signer.public.kid + bytes([slot]) + method.encode())[:16]


def _call(
    signer: FileSigner,
    network_id: bytes,
    slot: int,
    method: str,
    told: Told,
) -> bytes:
    call = Call(
        _call_id(signer, slot, method), _at(ROUNDS + 3), "pooled_auction", method, dict(told)
    )
    return sign_entry(signer, call, network_id)


# --- the hub -----------------------------------------------------------------------------------


def _prepare(folder: Path) -> None:
    """Found a hub, and enrol its meters and members."""
    policy = PolicyEntry(
        from_slot_ms=0,
        contract="pooled_auction",
        parameters={},
        prices=((0, 300_000),),
        feed_in=((0, 100_000),),
        dispatch="none",
        dispatch_parameters={},
        disclosure="open",
        code_id=b"",
    )
    plan = Plan(MICROGRID, SLOT_MS, 30_000, "open", simulation=False, policy=policy)
    found_installation(folder, plan, START_MS - 1)
    node = generate(folder / "node.pem")
    entries = [KeyEntry("enrol", "node", NODE, node.public.cose_key, member=_names()[0])]
    for name in _names():
        meter = generate(folder / "meters" / f"{name}.pem").public.cose_key
        person = generate(folder / "people" / f"{name}.pem").public.cose_key
        entries.append(_meter(name, meter))
        entries.append(KeyEntry("enrol", "member", name, person))
    opened = open_hub(load_config(folder / "hub.toml"))
    desk = _desk(folder, opened, _spine(opened))
    reasons = [desk.append(raw) for raw in sign_as_administrator(opened.config, entries)]
    opened.close()
    if any(reasons):
        raise LedgerDisagrees("; ".join(filter(None, reasons)))


def _meter(name: str, key: bytes) -> KeyEntry:
    return KeyEntry(
        "enrol",
        "meter",
        f"{name}-net",
        key,
        node=NODE,
        member=name,
        purpose="net",
        model="sdm120",
        rated_mw=10_000_000,
    )


def _spine(opened: Opened) -> Spine:
    return Spine(opened.recorder, opened.pen, Post(Nobody(), opened.pen, MICROGRID), opened.rules)


def _desk(folder: Path, opened: Opened, spine: Spine) -> Desk:
    return Desk(Inbox(folder), spine, CONTRACTS, POLICIES)


def _command(folder: Path) -> tuple[str, ...]:
    return python("testbed.killed_round", str(folder))


def play(folder: Path) -> None:
    """Take every step that the ledger does not have yet; say each number once it is durable."""
    steps = script(folder)
    opened = open_hub(load_config(folder / "hub.toml"))
    spine = _spine(opened)
    desk = _desk(folder, opened, spine)
    closer = Closer(spine, opened.pen, CloseRule(SLOT_MS, 30_000, 600_000))
    closer.add_headers()  # as a hub does first, that died between a close and its header
    for number, step in enumerate(steps):
        if step.kind == "reading":
            spine.take_in([Arrival(NODE, "register", step.raw)], 0, _at(ROUNDS + 3))
        elif step.kind != CLOSES:
            reason = desk.append(step.raw)
            if reason:
                raise LedgerDisagrees(f"step {number}, {step.kind}: {reason}")
        elif next_slot(opened.recorder.state) == _at(step.slot):
            closer.close(_at(step.slot), COMPLETE, _at(step.slot + 1))
        print(number, flush=True)
    opened.close()


if __name__ == "__main__":
    play(Path(sys.argv[1]))
