"""Brings a replica's folder up to a head in one call: for commands, measurements and tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hub.auditing.refold import Preimages
from hub.core.clearing import Contracts
from hub.cosigning.evidence import EvidenceFolder
from hub.replica.execution import Execution
from hub.replica.joining import join
from hub.replica.mirror import Mirror
from hub.replica.source import Sources
from messages.log.note import parse_vkey
from messages.trust import Trust


@dataclass(frozen=True, slots=True)
class Caught:
    """How far a replica came, and how long each part took. [s]"""

    first: int
    mirrored: int
    executed: int
    join_s: float
    mirror_s: float
    execute_s: float


@dataclass(frozen=True, slots=True)
class Course:
    """What a replica is brought up with. `behind_snapshot`: begin with the newest that holds."""

    trust: Trust
    sources: Sources
    contracts: Contracts
    preimages: Preimages
    workers: int | None = None
    behind_snapshot: bool = False


def catch_up(folder: Path, course: Course, told: Callable[[int, int], None]) -> Caught:
    """Mirror into a folder what the sources show, and execute it; go on where an earlier call was.

    Args:
        folder: where the copy and the progress lie; it may be new.
        course: from where, and how.
        told: is told (entries done, entries to do) now and then, of each part in turn.

    Raises:
        SourceAway, SourceWrong, Forked, Sealed, MirrorDamaged: as `Mirror` and `Execution`.
        LogWrong: an entry is not what it has to be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log_key = parse_vkey(course.trust.log_vkey)
    mirror = Mirror(folder / "mirror", log_key, EvidenceFolder(folder / "evidence"))
    execution = Execution(
        folder / "standing", course.trust, course.contracts, course.preimages, course.workers
    )
    start_s = time.monotonic()
    if course.behind_snapshot and mirror.size == 0:
        join(mirror, execution, course.sources, course.trust, told)
    joined_s = time.monotonic()
    note = course.sources.get("checkpoint").decode("utf-8", "replace")
    mirror.extend(note, course.sources, told)
    mirrored_s = time.monotonic()
    entries = mirror.entries(execution.size, mirror.size)
    execution.advance(entries, mirror.size, told, lambda index, effects: None)
    execution.keep()
    return Caught(
        mirror.first,
        mirror.size,
        execution.size,
        joined_s - start_s,
        mirrored_s - joined_s,
        time.monotonic() - mirrored_s,
    )
