"""Policy files (C2SP tlog-policy): which log, which witnesses, and what quorum makes a head final.

    log <vkey> [url]
    witness <name> <vkey> [url]
    group <name> all|any|<k> <name> ...
    quorum <name>|none                     exactly one

Names are defined before they are used; a name is a member at most once; keys are not repeated.
Blank lines and lines starting with # are passed over. A url says where a log or a witness is
asked; who only verifies needs none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from messages.errors import MalformedMessage
from messages.log.note import COSIGNATURE, ED25519, NoteKey, parse_decimal, parse_vkey

NONE = "none"
REPLICAS = "replicas"  # the group of those who also executed everything again
SPACES = re.compile("[ \t]+")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Group:
    """`needed` of `members`, which are witnesses or other groups."""

    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogPolicy:
    """A parsed policy. `quorum` names a witness or a group, or is "none": unwitnessed.

    `urls` are the submission prefixes of those witnesses that have one, by their names here.
    """

    logs: tuple[NoteKey, ...]
    witnesses: Mapping[str, NoteKey]
    groups: Mapping[str, Group]
    quorum: str
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def witnessed(self) -> bool:
        """Whether anybody but the log has to agree."""
        return self.quorum != NONE

    @property
    def replicas(self) -> frozenset[NoteKey]:
        """The keys whose cosignature says more than a witness's: the group of that name."""
        group = self.groups.get(REPLICAS, Group(0, ()))
        return frozenset(self.witnesses[name] for name in group.members if name in self.witnesses)

    def kind_of(self, key: NoteKey) -> str:
        """Return what a cosigner is, in a word: replica or witness."""
        return "replica" if key in self.replicas else "witness"

    def is_met(self, signers: frozenset[NoteKey]) -> bool:
        """Whether cosignatures by `signers` make a checkpoint final."""
        return self.quorum == NONE or self._holds(self.quorum, signers)

    def _holds(self, name: str, signers: frozenset[NoteKey]) -> bool:
        if name in self.witnesses:
            return self.witnesses[name] in signers
        group = self.groups[name]
        return sum(self._holds(member, signers) for member in group.members) >= group.needed


def unwitnessed(log_vkey: str) -> str:
    """Return the policy of a one-machine installation."""
    return f"log {log_vkey}\nquorum none\n"


def parse_policy(text: str) -> LogPolicy:
    """Return the policy in a file's text.

    Raises:
        MalformedMessage: names the line and what was expected there.
    """
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        try:
            reader.take(line)
        except MalformedMessage as error:
            raise MalformedMessage(f"policy line {number}: {error}") from None
    if reader.quorum is None:
        raise MalformedMessage("the policy has no quorum line")
    return LogPolicy(
        tuple(reader.logs), reader.witnesses, reader.groups, reader.quorum, reader.urls
    )


class _Reader:
    """Takes a policy's lines in order; each name must be known before it is used."""

    def __init__(self) -> None:
        self.logs: list[NoteKey] = []
        self.witnesses: dict[str, NoteKey] = {}
        self.groups: dict[str, Group] = {}
        self.urls: dict[str, str] = {}
        self.quorum: str | None = None
        self._keys: set[bytes] = set()
        self._members: set[str] = set()

    def take(self, line: str) -> None:
        if CONTROL.search(line):
            raise MalformedMessage("a control character")
        words = SPACES.split(line.strip(" \t"))
        if words[0] and not words[0].startswith("#"):
            self._take(words)

    def _take(self, words: list[str]) -> None:
        verb, count = words[0], len(words)
        if verb == "log" and count in (2, 3):
            self.logs.append(self._key(words[1], ED25519))
        elif verb == "witness" and count in (3, 4):
            self.witnesses[self._new(words[1])] = self._key(words[2], COSIGNATURE)
            self.urls.update((words[1], url) for url in words[3:])
        elif verb == "group" and count >= 4:
            self._group(words)
        elif verb == "quorum" and count == 2:
            self._quorum(words[1])
        else:
            raise MalformedMessage(f"{' '.join(words[:2])!r} is no policy line")

    def _new(self, name: str) -> str:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise MalformedMessage(f"the name {name!r} is taken")
        return name

    def _key(self, vkey: str, kind: int) -> NoteKey:
        key = parse_vkey(vkey)
        if key.kind != kind:
            raise MalformedMessage(f"the key of {key.name} has type {key.kind:#04x}")
        if key.public.raw in self._keys:
            raise MalformedMessage(f"the key of {key.name} stands here twice")
        self._keys.add(key.public.raw)
        return key

    def _group(self, words: list[str]) -> None:
        name, rule, members = self._new(words[1]), words[2], tuple(words[3:])
        for member in members:
            if member not in self.witnesses and member not in self.groups:
                raise MalformedMessage(f"{member!r} is not defined before this line")
            if member in self._members:
                raise MalformedMessage(f"{member!r} is a member twice")
            self._members.add(member)
        needed = {"all": len(members), "any": 1}.get(rule)
        if needed is None:
            needed = parse_decimal(rule, f"{rule!r}")
        if not 1 <= needed <= len(members):
            raise MalformedMessage(f"{rule!r} is not all, any or 1 to {len(members)}")
        self.groups[name] = Group(needed, members)

    def _quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise MalformedMessage("a second quorum line")
        if name != NONE and name not in self.witnesses and name not in self.groups:
            raise MalformedMessage(f"{name!r} is not defined before this line")
        self.quorum = name
