"""Signs facts as a feeder, and hands them over."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from hub.commands.enrolling import hand_over
from hub.config import HubConfig
from hub.core.records import Key
from hub.core.state import State
from hub.errors import FeedRefused
from hub.starting import read_trust
from hub.vault.desk import read_state
from messages.entries import sign_entry
from messages.feeding import Feed
from messages.publickey import Signer
from messages.timetext import parse_time

COLUMNS: Final = ("fact", "at", "value", "valid_s")


class Fact(NamedTuple):
    """What a feeder wants to tell. [ms UTC, the fact's unit]"""

    fact: str
    at_ms: int
    value: int
    valid_until_ms: int


def tell(config: HubConfig, signer: Signer, facts: Iterable[Fact]) -> list[str]:
    """Sign facts, in order, with the next sequences; return for each why not, or an empty text.

    Raises:
        FeedRefused: the key is no feeder's.
        NoAnswer: the running hub took none in time.
    """
    state = read_state(config)
    key = state.keys.get(signer.public.kid)
    if key is None or key.holder != "feeder":
        who = "nobody" if key is None else f"{key.holder} {key.name}"
        raise FeedRefused(f"this is the key of {who}: a feeder's is wanted (docs/feeds.md)")
    network_id = read_trust(Path(config.trust)).network_id
    entries = [sign_entry(signer, feed, network_id) for feed in _feeds(state, key, facts)]
    return hand_over(config, entries)


def _feeds(state: State, key: Key, facts: Iterable[Fact]) -> list[Feed]:
    units = dict(key.facts)
    sequences: dict[str, int] = {}
    found = []
    for fact in facts:
        last = sequences.get(fact.fact, state.fed.get((key.name, fact.fact), 0))
        sequences[fact.fact] = last + 1
        unit = units.get(fact.fact, "")
        found.append(Feed(fact.fact, last + 1, fact.at_ms, fact.value, unit, fact.valid_until_ms))
    return found


def read_facts(path: Path) -> list[Fact]:
    """Return the facts in a CSV file with the columns of COLUMNS.

    Raises:
        FeedRefused: it has other columns, or a row is wrong; the text names the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            if tuple(next(rows, ())) != COLUMNS:
                raise FeedRefused(f"{path}: its first line is to be {','.join(COLUMNS)}")
            return [_fact(f"{path}, line {rows.line_num}", row) for row in rows if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FeedRefused(f"{path}: {error}") from None


def _fact(where: str, row: list[str]) -> Fact:
    if len(row) != len(COLUMNS):
        raise FeedRefused(f"{where}: {len(row)} columns, want {len(COLUMNS)}")
    fact, at, *numbers = row
    try:
        at_ms = parse_time(at)
    except ValueError as error:
        raise FeedRefused(f"{where}: {error}") from None
    try:
        value, valid_s = map(int, numbers)
    except ValueError:
        raise FeedRefused(f"{where}: value and valid_s are whole numbers") from None
    return Fact(fact, at_ms, value, at_ms + 1_000 * valid_s)
