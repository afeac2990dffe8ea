"""A member contests a line of his statement from his own machine: the verbs about disputes.

The statement file is all it needs: row and proof of a line stand in it. Who may do what, and until
when, the hub's fold decides (docs/disputes.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from member.calling import HubClient, Value
from messages.disputes import CONTRACT, HELD
from messages.log.tree import narrow
from messages.statement import (
    BillRow,
    Block,
    Correction,
    Line,
    Statement,
    hashes_of,
    own_lines,
    parse_statement,
    row_bytes,
    row_leaf,
)
from messages.timetext import format_time

RULINGS: Final = ("uphold", "dismiss", "split")


def add_verbs(verb: Callable[..., argparse.ArgumentParser], instant: Callable[[str], int]) -> None:
    """Add the verbs about disputes; `verb(name, serve, about)` adds one."""
    one = verb("dispute", _begin, "Dispute a line of your statement; print the dispute's number.")
    one.add_argument("statement", metavar="FILE", help="Your statement, the .json.")
    one.add_argument("slot", metavar="SLOT", type=instant, help="As it has it, with its zone.")
    one.add_argument("line", metavar="LINE", type=int, help="The line's number in that slot.")
    one.add_argument("--amount-utok", type=int, help="How much of it; default: all of the line.")
    one.add_argument("--reason", required=True, help="Stays on the ledger, for all to read.")
    for name, about in (
        ("answer", "Say once, as the other side of a dispute, why the line is right."),
        ("concede", "Give in, as the other side: what is held goes to the claimant."),
        ("drop", "Take your dispute back: what is held goes back."),
        ("rule", "Rule on a dispute, as a regulator."),
    ):
        one = verb(name, _rule if name == "rule" else _step, about)
        one.add_argument("dispute", metavar="DISPUTE", type=int, help="Its number.")
        one.add_argument("--reason", required=True, help="Stays on the ledger, for all to read.")
        one.set_defaults(method="withdraw" if name == "drop" else name)
    one.add_argument("ruling", metavar="RULING", choices=RULINGS, help=", ".join(RULINGS))
    one.add_argument("--to-claimant-utok", type=int, default=0, help="His part of a split.")


def _begin(hub: HubClient, options: argparse.Namespace) -> None:
    statement = parse_statement(Path(options.statement).read_text(encoding="utf-8"))
    asked = claim_of(statement, options.slot, options.line, options.amount_utok)
    found = hub.ask("open", {**asked, "reason": options.reason}, CONTRACT)
    print(found.answer["dispute"])


def _step(hub: HubClient, options: argparse.Namespace) -> None:
    asked: dict[str, Value] = {"dispute": options.dispute, "reason": options.reason}
    hub.ask(options.method, asked, CONTRACT)


def _rule(hub: HubClient, options: argparse.Namespace) -> None:
    asked: dict[str, Value] = {"dispute": options.dispute, "reason": options.reason}
    ruled = {"ruling": options.ruling, "to_claimant_utok": options.to_claimant_utok}
    hub.ask("rule", asked | ruled, CONTRACT)


def claim_of(
    statement: Statement, slot_ms: int, number: int, amount_utok: int | None
) -> dict[str, Value]:
    """Return what a call to dispute a line says, but for the reason; None: all of the line.

    Raises:
        ValueError: the statement has no such line.
        BadProof: its proof is broken.
    """
    block = next((each for each in statement.blocks if each.slot.slot_ms == slot_ms), None)
    numbered = dict(enumerate(_lines(block, statement.account), 1)) if block else {}
    if block is None or number not in numbered:
        has = f"lines 1 to {len(numbered)}" if numbered else "no line"
        raise ValueError(f"slot {format_time(slot_ms)} has {has} that can be disputed here")
    place, row, in_row, line = numbered[number]
    path = narrow(_leaves(block), block.results_size, hashes_of(block.results_proof), place)
    return {
        "slot_ms": slot_ms,
        "row": row_bytes(row),
        "place": place,
        "proof": b"".join(path),
        "line": in_row,
        "amount_utok": abs(line.amount_utok) if amount_utok is None else amount_utok,
    }


def _lines(block: Block, account: str) -> Iterator[tuple[int, BillRow | Correction, int, Line]]:
    """Yield place, row, number in the row, and line, of all that can be disputed, in order."""
    rows: list[tuple[int | None, BillRow | Correction | None]]
    rows = [(booked.place, booked.correction) for booked in block.booked]
    for place, row in (*rows, (block.bill_place, block.bill)):
        if row is None or place is None:
            continue
        for in_row, line in enumerate(own_lines(row.lines, account), 1):
            if line.counterparty != HELD:
                yield place, row, in_row, line


def _leaves(block: Block) -> dict[int, bytes]:
    rows: list[tuple[int | None, Any]] = [(each.place, each.row) for each in block.booked]
    rows += [(block.slot_place, block.slot), (block.bill_place, block.bill)]
    return {place: row_leaf(row) for place, row in rows if place is not None and row}
