"""New keys for a node, made by itself: what `gridtally-edge rotate` does.

For each key, in this order: make the next one in the same store; let the agent, or the outbox if
none runs, change over; write the configuration; forget the note that the outbox kept meanwhile.
Killed at any point it can be run again, and goes on where it was.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from edge.app import load_trust
from edge.config import EdgeConfig, load_config, parse_config
from edge.errors import OutboxLocked, Unavailable
from edge.joining.files import write_file
from edge.outbox import Outbox
from edge.outbox_schema import open_for_reading
from edge.rotating import ask_agent, claim_for
from edge.successors import Change, Successor, begun, take_over
from keys import stores
from keys.errors import KeyMissing
from keys.places import FilePlace, Place, TokenPlace, TpmPlace, parse_place, rooted
from messages.configedit import set_in_array
from messages.publickey import Signer

_NUMBERED: Final = re.compile(r"(.*)\.([0-9]+)")
_NEXT_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Rotated:
    """One key that took over. `name`: the meter's, "" for the node's. Places as the file has them.

    `is_agents`: a running agent changed over. `fingerprint` is "" for what an earlier run began.
    """

    name: str
    fingerprint: str
    old_place: str
    new_place: str
    is_agents: bool


def rotate(file: Path, names: Sequence[str], to: str, alg: int | None) -> Iterator[Rotated]:
    """Give these keys successors, all if none is named; yield each when it is done.

    Args:
        file: edge.toml.
        names: meters, or the node's own name.
        to: where the new key lies, or is made; "": beside the old one.
        alg: of keys that are made; None: as the store has them.

    Raises:
        EdgeError, KeyFault, MessageError: why not; what was yielded is done.
    """
    config = load_config(file)
    wanted = _wanted(config, names)
    if to and len(wanted) != 1:
        raise Unavailable("--to is for one key: name it")
    load_trust(config)
    for successor in begun(config):
        yield _finish(file, config, successor)
        wanted = [name for name in wanted if name != successor.name]
        config = load_config(file)
    for name in wanted:
        yield _rotate(file, config, name, to, alg)
        config = load_config(file)


def _wanted(config: EdgeConfig, names: Sequence[str]) -> list[str]:
    known = [each.meter_id for each in config.meter]
    for name in names:
        if name == config.node and name in known:
            raise Unavailable(f"{name} is the name of the node and of a meter: rename the meter")
        if name != config.node and name not in known:
            there = ", ".join([config.node, *known])
            raise Unavailable(f"no key is {name}'s; there are those of {there}")
    return ["" if name == config.node else name for name in names] or ["", *known]


def _rotate(file: Path, config: EdgeConfig, name: str, to: str, alg: int | None) -> Rotated:
    old_text = _written_place(file, config, name)
    folder = file.resolve().parent
    new_text, new = _next_key(config, old_text, to, alg, folder)
    successor = Successor(name, config.key_places[name], rooted(new_text, folder))
    frame = {"change": name, "old": successor.old_place, "new": successor.new_place}
    is_agents = ask_agent(Path(config.state), frame) is not None
    if not is_agents:
        _take_over(config, successor, new)
    _write(file, config, name, new_text)
    _forget(config, name)
    return Rotated(name, new.public.fingerprint, old_text, new_text, is_agents)


def _finish(file: Path, config: EdgeConfig, begun: Successor) -> Rotated:
    """Do what an earlier run did not come to any more."""
    folder = f"{file.resolve().parent}/"
    old_text, new_text = (place.replace(folder, "") for place in (begun.old_place, begun.new_place))
    if config.key_places[begun.name] == begun.old_place:
        _write(file, config, begun.name, new_text)
    is_agents = _forget(config, begun.name)
    return Rotated(begun.name, "", old_text, new_text, is_agents)


def _take_over(config: EdgeConfig, successor: Successor, new: Signer) -> None:
    claim = claim_for(config.node, successor.name, load_trust(config).network_id)
    old = stores.open_signer(successor.old_place)
    outbox = _outbox(config)
    try:
        take_over(outbox, Change(successor, claim, old, new))
    finally:
        outbox.close()


def _forget(config: EdgeConfig, name: str) -> bool:
    """Forget the note about a key; return whether a running agent did it."""
    if ask_agent(Path(config.state), {"written": name}) is not None:
        return True
    outbox = _outbox(config)
    try:
        outbox.note(Successor(name, "", "").fact, "")
    finally:
        outbox.close()
    return False


def _outbox(config: EdgeConfig) -> Outbox:
    try:
        return Outbox(Path(config.state), config.outbox.rows_max, config.outbox.ballast_kb * 1024)
    except OutboxLocked as error:
        raise OutboxLocked(f"{error}, or wait a moment if it is an agent that starts") from None


# Where the next key lies


def _next_key(
    config: EdgeConfig, old_text: str, to: str, alg: int | None, folder: Path
) -> tuple[str, Signer]:
    """Return the place of a key that never signed here, and its signer; it is made if need be."""
    if to:
        return to, stores.open_or_generate(to, alg, folder)[0]
    used = _used_kids(config)
    text = old_text
    for _ in range(_NEXT_MAX):
        text = next_place(text)
        if rooted(text, folder) in config.key_places.values():
            continue
        try:
            signer = stores.open_signer(text, folder)
        except KeyMissing:
            return text, stores.generate(text, alg, folder)
        if signer.public.kid not in used:
            return text, signer  # made by a run that was ended before it changed over
    raise Unavailable(f"{old_text}: no place for another key: say one with --to")


def next_place(text: str) -> str:
    """Return where the successor of a key is made: keys/pv.pem, keys/pv.2.pem, keys/pv.3.pem.

    Raises:
        Unavailable: nobody but a person can say where.
    """
    place = parse_place(text)
    if isinstance(place, FilePlace):
        return str(_next_path(place.path))
    if isinstance(place, TpmPlace) and not place.handle:
        query = text.partition("?")
        return "".join((f"tpm:{quote(str(_next_path(place.path)))}", *query[1:]))
    if isinstance(place, TokenPlace) and place.label:
        return _next_label(text, place)
    raise Unavailable(f"{place}: say with --to where the new key lies: {_hint(place)}")


def _hint(place: Place) -> str:
    if isinstance(place, TpmPlace):
        return "another handle of the TPM (tpm2_getcap handles-persistent), or tpm:keys/NAME.tpm"
    if isinstance(place, TokenPlace):
        return "the same URI with another object="
    return "a credential of another name, which the service was started with"


def _next_path(path: Path) -> Path:
    return path.with_name(_next_name(path.stem) + path.suffix)


def _next_name(name: str) -> str:
    found = _NUMBERED.fullmatch(name)
    return f"{found[1]}.{int(found[2]) + 1}" if found else f"{name}.2"


def _next_label(text: str, place: TokenPlace) -> str:
    """Return the URI with the next label; the old key's CKA_ID would fit no other key."""
    head, mark, query = text.removeprefix("pkcs11:").partition("?")
    label = f"object={quote(_next_name(place.label))}"
    words = [word for word in head.split(";") if not word.startswith("id=")]
    path = ";".join(label if word.startswith("object=") else word for word in words)
    return f"pkcs11:{path}{mark}{query}"


def _used_kids(config: EdgeConfig) -> set[bytes]:
    """Return the ids of keys that signed on this node, as far as its outbox goes back."""
    path = Path(config.state) / "outbox.db"
    if not path.exists():
        return set()
    connection = open_for_reading(path)
    try:
        return {kid for (kid,) in connection.execute("SELECT DISTINCT kid FROM stream")}
    finally:
        connection.close()


# What the configuration says


def _written_place(file: Path, config: EdgeConfig, name: str) -> str:
    """Return a place as a person wrote it."""
    written = tomllib.loads(file.read_text(encoding="utf-8"))
    if not name:
        return str(written.get("key") or f"keys/{config.node}.pem")
    return str(written["meter"][_number(config, name)]["key"])


def _write(file: Path, config: EdgeConfig, name: str, place: str) -> None:
    """Name the new key in edge.toml, which keeps every other line.

    Raises:
        Unavailable: it cannot be written; what a person can write there instead.
    """
    text = file.read_text(encoding="utf-8")
    where: tuple[str, int] = ("meter", _number(config, name)) if name else ("", 0)
    edited = set_in_array(text, *where, "key", place)
    wanted: dict[str, Any] = {**config.key_places, name: rooted(place, file.resolve().parent)}
    owner = f"meter {name}" if name else "the node"
    by_hand = f'write key = "{place}" for {owner} yourself, then run this again'
    if parse_config(edited, file).key_places != wanted:
        raise Unavailable(f"{file}: its tables are written in a way that is not edited: {by_hand}")
    try:
        write_file(file, edited.encode())
    except Unavailable as error:
        raise Unavailable(f"{error}: the key has changed over; {by_hand}") from None


def _number(config: EdgeConfig, name: str) -> int:
    return [each.meter_id for each in config.meter].index(name)
