"""Follows the log: a head comes in, its entries are fetched and checked, then executed again.

One thread does all of it. Whoever asks whether a head may be cosigned waits for it a moment, and is
told what is missing or wrong.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from hub.auditing.refold import LogWrong
from hub.core.effects import Effect, WrongRoot
from hub.cosigning.proposals import told as told_lie
from hub.errors import HubError
from hub.replica.errors import Forked, MirrorDamaged, Sealed, SourceAway, SourceWrong, Stopping
from hub.replica.execution import Execution
from hub.replica.joining import join
from hub.replica.mirror import Mirror
from hub.replica.source import Sources
from messages.errors import MessageError
from messages.trust import Trust

POLL_S: Final = 2.0
PAUSE_MAX_S: Final = 30.0
NOTE_BYTES_MAX: Final = 65_536
NOTES_MAX: Final = 20
FILL_BUNDLES: Final = 16  # of the past, between two looks at what is new
CATCHING_UP: Final = 503
REFUSED: Final = 422

log = logging.getLogger("hub.replica")


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a head is not cosigned, as an HTTP status and in words."""

    status: int
    reason: str


@dataclass(slots=True)
class Standing:
    """How far a replica is, for others to see. `finding` is for good, `trouble` while it lasts."""

    mirrored: int = 0
    executed: int = 0
    wanted: int = 0
    left_out: int = 0
    finding: str = ""
    trouble: str = ""
    notes: list[str] = field(default_factory=list)


class Chore(Protocol):
    """What is done besides, in the same thread, whenever the log was looked at."""

    def prepare(self) -> None:
        """Do what has to come before more is executed."""

    def tend(self) -> None:
        """Do it; SourceAway is told and tried again."""

    def watch(self, index: int, effects: tuple[Effect, ...]) -> None:
        """Look at what an entry did."""

    def objection(self, size: int) -> str:
        """Say why a tree of this size is not cosigned; "" if it may be."""

    def wait_s(self) -> float | None:
        """Say how soon to look again; None: as usual."""


class Following:
    """Owns the thread. `execution` None: only mirrors."""

    def __init__(
        self,
        mirror: Mirror,
        execution: Execution | None,
        sources: Sources,
        poll_s: float = POLL_S,
    ) -> None:
        self.mirror = mirror
        self.execution = execution
        self.standing = Standing()
        self._sources = sources
        self._poll_s = poll_s
        self._chores: tuple[Chore, ...] = ()
        self._begin: Callable[[], None] | None = None
        self._changed = threading.Condition()
        self._stopped = False
        self._note, self._wanted = "", 0  # the largest head that the log showed us
        self._odd: dict[str, str] = {}  # notes that will never be vouched for -> why
        self._wrong_at: int | None = None
        self._pause_s = 0.0
        self._fills = False  # some of the past is still to be fetched
        self._woken = False
        self.thread = threading.Thread(target=self.run, name="following", daemon=True)
        self._count()

    def add_chores(self, *chores: Chore) -> None:
        """Let these be done, too."""
        self._chores = (*self._chores, *chores)

    def wake(self) -> None:
        """Look again soon: something was shown."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def begin_behind_snapshot(self, execution: Execution, trust: Trust) -> None:
        """Join behind a snapshot first; asked for again until it works."""

        def begin() -> None:
            self.note(join(self.mirror, execution, self._sources, trust, self._told))

        self._begin = begin

    @property
    def places(self) -> tuple[str, ...]:
        """Where the log is got from, the next one to be asked first."""
        return self._sources.places

    @property
    def done(self) -> int:
        """Up to where this replica can vouch."""
        return self.mirror.size if self.execution is None else self.execution.size

    def stop(self) -> None:
        """End soon, and wait for it."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self.thread.is_alive():
            self.thread.join()

    # --- asked by others -------------------------------------------------------------------

    def vouch(self, note: str, size: int, root: bytes, within_s: float) -> Objection | None:
        """Say why a head that the log signed is not to be cosigned; None: all is right."""
        with self._changed:
            if size > max(self._wanted, self.mirror.size):
                self._note, self._wanted = note, size
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_decided(note, size), within_s)
            if note in self._odd:
                return Objection(REFUSED, self._odd[note])
            if self._wrong_at is not None and size > self._wrong_at:
                return Objection(REFUSED, self.standing.finding)
            if self.done < size:
                trouble = f"; {self.standing.trouble}" if self.standing.trouble else ""
                return Objection(
                    CATCHING_UP, f"has {self.done} of {size} entries, and catches up{trouble}"
                )
        return self._compare(size, root)

    def _compare(self, size: int, root: bytes) -> Objection | None:
        try:
            if self.mirror.root_at(size) != root:
                return Objection(REFUSED, f"the first {size} entries have another root here")
        except HubError as error:
            return Objection(CATCHING_UP, str(error))
        reasons = (chore.objection(size) for chore in self._chores)
        reason = next((text for text in reasons if text), "")
        return Objection(REFUSED, reason) if reason else None

    def _is_decided(self, note: str, size: int) -> bool:
        is_wrong = self._wrong_at is not None and size > self._wrong_at
        return self._stopped or self.done >= size or note in self._odd or is_wrong

    # --- the thread ------------------------------------------------------------------------

    def run(self) -> None:
        """Follow until stopped."""
        while not self._stopped:
            try:
                self.turn()
                self._fare("")
                self._pause_s = 0.0
            except (SourceAway, SourceWrong, Sealed, OSError) as error:
                self._fare(str(error))
                self._pause_s = min(max(self._pause_s * 2, self._poll_s), PAUSE_MAX_S)
            except Stopping:
                return
            except MirrorDamaged as error:
                log.critical("%s", error)
                self._fare(str(error))
                self._pause_s = PAUSE_MAX_S
            self._rest(self._wait_s())

    def _wait_s(self) -> float:
        """Return how soon to look again."""
        if self._pause_s:
            return self._pause_s
        waits = (chore.wait_s() for chore in self._chores)
        usual_s = 0.0 if self._fills else self._poll_s
        return min([usual_s, *(wait for wait in waits if wait is not None)])

    def turn(self) -> None:
        """Look once at what is new, and do all that follows.

        Raises:
            SourceAway, SourceWrong, Sealed, MirrorDamaged, OSError: it did not work this time.
        """
        if self._begin is not None:
            self._begin()
            self._begin = None
        note = self._next_note()
        if note and note not in self._odd:
            self._extend(note)
        self._execute()
        if self._wrong_at is None:
            for chore in self._chores:
                chore.tend()
        self._fills = not self.mirror.fill(self._sources, FILL_BUNDLES)
        self._count()

    def _next_note(self) -> str:
        """Return the newest head: what the log showed us, or what a source shows everybody."""
        with self._changed:
            if self._wanted > self.mirror.size:
                return self._note
        try:
            return self._sources.get("checkpoint", NOTE_BYTES_MAX).decode()
        except UnicodeDecodeError as error:
            raise SourceWrong(f"the checkpoint is no text: {error}") from error
        except SourceAway:
            if self.mirror.size:
                raise
            return ""

    def _extend(self, note: str) -> None:
        try:
            self.mirror.extend(note, self._sources, self._told)
        except Forked as error:
            log.critical("%s; evidence in %s", error, error.evidence)
            self._refuse(note, str(error))
        except MessageError as error:
            self._refuse(note, f"the log did not sign it: {error}")
        self._count()

    def _execute(self) -> None:
        execution = self.execution
        if execution is None or self._wrong_at is not None:
            return
        stop = self.mirror.size
        if execution.size >= stop or execution.size < self.mirror.first:
            return  # nothing new, or what comes next is still to be filled in
        for chore in self._chores:
            chore.prepare()
        entries = self.mirror.entries(execution.size, stop)
        try:
            execution.advance(entries, stop, self._told, self._watch)
        except LogWrong as wrong:
            with self._changed:
                self._wrong_at = execution.size
                self.standing.finding = str(wrong)
            log.critical("the log is wrong, and nothing from here on is cosigned: %s", wrong)
        self._count()

    def _watch(self, index: int, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, WrongRoot):
                self.note(told_lie(effect))
        for chore in self._chores:
            chore.watch(index, effects)

    def note(self, text: str) -> None:
        """Keep a sentence for people; the newest few stay."""
        log.warning("%s", text)
        self.standing.notes = [*self.standing.notes, text][-NOTES_MAX:]

    def _told(self, done: int, of: int) -> None:
        if self._stopped:
            raise Stopping
        if done % 1_000 == 0 or done == of:
            self._count()

    def _count(self) -> None:
        """Let others see how far this is."""
        with self._changed:
            standing = self.standing
            standing.mirrored, standing.wanted = self.mirror.size, self._wanted
            standing.executed = 0 if self.execution is None else self.execution.size
            standing.left_out = self.mirror.first
            self._changed.notify_all()

    def _refuse(self, note: str, reason: str) -> None:
        with self._changed:
            self._odd[note] = reason
            while len(self._odd) > NOTES_MAX:
                del self._odd[next(iter(self._odd))]
            if note == self._note:
                self._note, self._wanted = "", 0
            self._changed.notify_all()
        self.note(reason)

    def _fare(self, trouble: str) -> None:
        if trouble and trouble != self.standing.trouble:
            log.warning("%s", trouble)
        self.standing.trouble = trouble

    def _rest(self, seconds: float) -> None:
        """Wait until somebody shows something newer, at most so long."""
        with self._changed:
            had = self._wanted
            self._changed.wait_for(lambda: self._is_called(had), seconds)
            self._woken = False

    def _is_called(self, had: int) -> bool:
        is_behind = self._wanted > self.mirror.size and not self.standing.trouble
        return self._stopped or self._woken or self._wanted != had or is_behind
