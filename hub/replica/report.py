"""What a replica says of itself: the same to a person, to a program and to its own folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hub.replica.errors import ReplicaRefused
from hub.replica.following import Following
from hub.replica.home import Home
from messages.log.note import format_vkey

FILE_NAME: Final = "status.json"
MEANS: Final = {
    "re-executes": "its cosignature says: I hold every entry, checked every signature and rule, "
    "and came to the same results",
    "mirrors": "its cosignature says: I hold every entry. Nothing is executed again here",
}


def facts(home: Home, following: Following, cosigned: int, member: str) -> dict[str, Any]:
    """Return how a replica stands, as JSON values."""
    standing = following.standing
    return {
        "vkey": format_vkey(home.key),
        "member": member,
        "meaning": home.meaning,
        "sources": list(following.places),
        "wanted": standing.wanted,
        "mirrored": standing.mirrored,
        "left_out": standing.left_out,
        "executed": standing.executed if home.executes else None,
        "cosigned": cosigned,
        "finding": standing.finding,
        "trouble": standing.trouble,
        "notes": list(standing.notes),
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield how a replica stands, for people; what is wrong comes first."""
    if found["finding"]:
        yield f"WRONG: {found['finding']}. Nothing from there on is cosigned"
    who = f" of {found['member']}" if found["member"] else ""
    yield f"replica{who} {found['vkey']}"
    yield MEANS[found["meaning"]]
    past = f", the first {found['left_out']} still to come" if found["left_out"] else ""
    yield f"mirrored {found['mirrored']} entries{past}"
    if found["executed"] is not None:
        yield f"executed {found['executed']} entries again"
    yield f"cosigned {found['cosigned']} entries"
    if found.get("ciphertext_lacking"):
        yield f"lacks the ciphertext of {found['ciphertext_lacking']} records: no source has it"
    if found["trouble"]:
        yield f"waits: {found['trouble']}"
    yield from (f"note: {text}" for text in found["notes"])


def write(folder: Path, found: dict[str, Any]) -> None:
    """Replace `status.json`; a full disk costs only freshness."""
    partial = folder / f"{FILE_NAME}.new"
    try:
        partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        partial.replace(folder / FILE_NAME)
    except OSError:
        return


def read(folder: Path) -> dict[str, Any]:
    """Return what a replica wrote last; ReplicaRefused if none ever ran here."""
    try:
        found = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReplicaRefused(f"{folder}: no replica has run here: {error}") from None
    if not isinstance(found, dict):
        raise ReplicaRefused(f"{folder / FILE_NAME}: no status of a replica")
    return found
