"""A round of sealed orders in a town, from commit to settlement, whose hub may die at each step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hub.inbox import Inbox
from hub.ledger.books import Books, FateRow, MatchRow
from hub.ledger.store import Store
from hub.recorder import Recorder
from messages.entries import Call, sign_entry
from messages.orders import Wish, commitment
from tests.support.killing import Killed, Points
from tests.support.town import Town, at

SALT = b"s" * 32
WISHES = {"ann": Wish("ask", None, 150_000), "bob": Wish("bid", 2_000_000, 250_000)}
DYING = (
    (Store, "append", "before it is durable"),
    (Recorder, "_note_close", "durable, while it is folded"),
    (Books, "replace", "folded, before it is in the books"),
    (Inbox, "done", "in the books, before the caller hears of it"),
    (Store, "checkpoint", "before it is signed for"),
)


class Result(NamedTuple):
    """What the ledger came to."""

    size: int
    root: bytes
    state_root: bytes
    matches: list[MatchRow]
    fates: list[FateRow]


class Rounds:
    """One town whose hub may die, and is started again; played again, nothing counts twice."""

    def __init__(self, town: Town) -> None:
        self.town = town

    def do(self, work: Callable[[Any, Any], object]) -> None:
        """Let a hub work; where it dies, another one begins the same work."""
        try:
            with self.town.open() as (opened, spine):
                work(opened, spine)
        except Killed:
            self.do(work)

    def calls(self, slot: int, method: str, **arguments: dict[str, Any]) -> None:
        """Members' calls wait in the inbox, and the hub takes them."""
        network_id = self.town.network_id
        inbox = Inbox(self.town.folder)
        for name, given in arguments.items():
            call = Call(call_id(name, method), at(slot), "double_auction", method, given)
            inbox.put(sign_entry(self.town.people[name], call, network_id))
        self.do(lambda _, spine: self.town.desk(spine).take())

    def slot(self, slot: int) -> None:
        """A slot goes by."""

        def work(opened: Any, spine: Any) -> None:
            self.town.read(spine, slot)
            self.town.read(spine, slot + 1)
            self.town.close(opened, spine, slot)
            spine.sign_checkpoint()

        self.do(work)

    def play(self) -> None:
        """From commit to settlement."""
        sealed = {
            name: {"slot_ms": at(2), "commitment": commitment(name, at(2), wish, SALT)}
            for name, wish in WISHES.items()
        }
        self.calls(1, "commit", **sealed)
        self.slot(1)
        shown = {
            name: {"order": call_id(name, "commit").hex(), "salt": SALT, **wish.arguments()}
            for name, wish in WISHES.items()
        }
        self.calls(2, "reveal", **shown)
        self.calls(2, "poison", ann={"order": "?"})
        self.slot(2)

    def result(self) -> Result:
        """Look at the ledger."""
        with self.town.open() as (opened, _):
            store, state = opened.recorder.store, opened.recorder.state
            assert not Inbox(self.town.folder).waiting()
            matches, fates = list(store.books.all(MatchRow)), list(store.books.all(FateRow))
            return Result(store.size, store.root(store.size), state.root(), matches, fates)


def call_id(name: str, method: str) -> bytes:
    return f"{name} {method}".ljust(16).encode()


def dying(points: Points, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub come to a point before each of its steps."""
    for owner, name, where in DYING:
        monkeypatch.setattr(owner, name, _pointed(points, where, getattr(owner, name)))


def _pointed(points: Points, where: str, real: Any) -> Any:
    def wrapped(self: Any, *words: Any, **options: Any) -> Any:
        points.reach(where)
        return real(self, *words, **options)

    return wrapped


def founded_town(folder: Path) -> Town:
    """Return a town with a sealed book, whose first slot is over."""
    made = Town(folder, book="sealed")
    made.play(range(1))
    return made
