"""Evidence that a key signed two contents for one place, as files that convince a stranger.

The hub keeps both messages beside the ledger when it meets them; the key that signed them stands in
the ledger's key entries. `gridtally-verify evidence` needs nothing else.
"""

from __future__ import annotations

from pathlib import Path

from hub.core.events import read_event
from hub.errors import ExportRefused
from hub.ledger.store import Store
from messages.entries import Genesis, KeyEntry
from messages.errors import BadKey
from messages.evidence import Contents, format_evidence
from messages.publickey import PublicKey, parse_cose_key
from messages.statement import text_of


def write_contents(store: Store, folder: Path) -> list[Path]:
    """Write a file for each place with two contents; return them, by key and place.

    Raises:
        ExportRefused: the folder cannot be written to.
    """
    keys = _keys(store)
    written = []
    for each in store.strangers.evidence():
        key = keys.get(each.kid)
        if key is None:
            continue  # kept by a ledger that has no such key: nobody could be convicted
        found = Contents(key.cose_key.hex(), text_of(each.stored), text_of(each.offered))
        path = folder / f"contents-{each.kid.hex()}-{each.stream}-{each.sequence}.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(format_evidence(found), encoding="utf-8")
        except OSError as error:
            raise ExportRefused(f"{path}: {error.strerror}") from None
        written.append(path)
    return written


def _keys(store: Store) -> dict[bytes, PublicKey]:
    """Return every key that the ledger ever named, by key id."""
    found: dict[bytes, PublicKey] = {}
    for entry in (*store.of_kind(Genesis.KIND), *store.of_kind(KeyEntry.KIND)):
        body = read_event(entry.index, entry.raw).body
        if isinstance(body, Genesis):
            named: tuple[bytes, ...] = (body.administrator, body.hub)
        else:
            named = (body.key,) if isinstance(body, KeyEntry) else ()
        for raw in named:
            try:
                key = parse_cose_key(raw)
            except BadKey:
                continue  # a revocation names a key by its id
            found[key.kid] = key
    return found
