"""Ends a log key by a signed entry, and lets a new one go on: after a theft, a loss, an old copy.

An old copy cannot be signed on with: what was signed since exists, under the old name. So if more
was signed than is here, the log that goes on has another name, and the entry says how many entries
are given up; nothing final is contradicted. If nothing is missing the name stays, and witnesses go
on where they were. Each step can be done twice, so that a retirement cut short is finished by the
same command.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hub.commands.enrolling import sign_as_administrator
from hub.commands.quorum import write_trust
from hub.config import HubConfig
from hub.core.logkeeping import log_key_of
from hub.cosigning.client import Peer, WitnessAway, WitnessClient
from hub.cosigning.rounds import peers_of
from hub.errors import LedgerBehind, RetiringRefused
from hub.ledger import opening
from hub.ledger.newest import HandedOut, NewestFile
from hub.ledger.records import NewEntry
from hub.ledger.store import Store
from hub.market.catalog import installed as installed_contracts
from hub.recorder import Recorder
from hub.starting import read_trust
from keys.places import FilePlace, parse_place
from keys.stores import open_or_generate
from messages import cose
from messages.configedit import set_keys
from messages.entries import KeyEntry, parse_entry
from messages.errors import MessageError
from messages.log.checkpoint import Checkpoint, open_checkpoint
from messages.log.note import ED25519, NoteKey, format_vkey, parse_vkey
from messages.log.policy import LogPolicy, parse_policy
from messages.log.tree import leaf_hash
from messages.logkeeping import Takeover, next_name, policy_for, takeover_fault
from messages.membership import OFFICES
from messages.publickey import EDDSA, Signer
from messages.trust import Trust

FOUNDER = "administrator"


@dataclass(frozen=True, slots=True)
class Seen:
    """A tree that the old key is known to have signed; `note` "": only this disk remembers it."""

    head: Checkpoint
    note: str
    source: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the old log: heads, the one that counts most, and who was silent."""

    size: int
    seen: tuple[Seen, ...]
    silent: tuple[str, ...]
    is_forked: bool

    @property
    def signed_up_to(self) -> int:
        """Size of the largest tree that is known to have been signed."""
        return max((each.head.size for each in self.seen), default=0)

    @property
    def shown(self) -> str:
        """The signed note over the largest tree, "" if none was shown."""
        shown = [each for each in self.seen if each.note]
        return max(shown, key=lambda each: each.head.size).note if shown else ""


class Retiring:
    """Owns the ledger while its log key is retired; no hub may run."""

    def __init__(self, config: HubConfig) -> None:
        """Open the ledger, however far behind it is.

        Raises:
            LedgerLocked: a hub runs.
            LedgerError, ConfigError: as for any start.
        """
        self._config = config
        self.trust = read_trust(Path(config.trust))
        self._store = Store.open(config.database, despite_behind=True)
        try:
            self._recorder = Recorder(self._store, installed_contracts())
            self.log_key = log_key_of(self._recorder.state)
        except BaseException:
            self._store.close()
            raise

    def close(self) -> None:
        """Close the ledger."""
        self._store.close()

    @property
    def is_unfinished(self) -> bool:
        """Whether the entry is on the ledger already and `trust.toml` does not know of it."""
        return format_vkey(self.log_key) != self.trust.log_vkey

    @property
    def last_index(self) -> int:
        """The entry of the newest takeover."""
        return max(self._recorder.state.successions)

    def look(self, shown: Sequence[str]) -> Known:
        """Collect what the old key signed: from this disk, from the witnesses, from `shown` notes.

        Raises:
            MessageError: one of `shown` was not signed by it.
        """
        seen = [self._opened(note, "a note that was given") for note in shown]
        newest = self._store.newest_checkpoint()
        if newest is not None:
            seen.append(Seen(opening.head_of(newest), newest.note, "this ledger"))
        handed = self._newest_file().read()
        if handed is not None:
            head = Checkpoint(self.log_key.name, handed.size, handed.root)
            seen.append(Seen(head, "", self._newest_file().path.name))
        silent = []
        for peer in self._peers():
            found = self._ask(peer)
            if isinstance(found, Seen):
                seen.append(found)
            elif found:
                silent.append(f"{peer.name}: {found}")
        size = self._store.size
        return Known(size, tuple(seen), tuple(silent), any(map(self._contradicts, seen)))

    def draft(self, known: Known, signer: Signer, reason: str, *, renamed: bool) -> Takeover:
        """Return the entry to sign. `renamed`: as if entries were missing, known or not.

        Raises:
            RetiringRefused: the name would stay though nobody can tell whether entries are missing.
        """
        is_missing = renamed or known.is_forked or known.signed_up_to > known.size
        if known.silent and not is_missing:
            raise RetiringRefused(
                "the log would keep its name, and these witnesses did not say what they cosigned "
                f"last: {'; '.join(known.silent)}. Ask again when they answer. If this ledger was "
                "put back from a copy, say --restored: the log then goes on under another name."
            )
        name = next_name(self.log_key.name) if is_missing else self.log_key.name
        vkey = format_vkey(NoteKey(name, ED25519, signer.public))
        policy = policy_for(vkey, self._recorder.state.network_rows[()].policy)
        old = format_vkey(self.log_key)
        up_to, note = known.signed_up_to, known.shown
        entry = Takeover(known.size, old, vkey, up_to, note, policy, reason, 0)
        fault = takeover_fault(entry, known.size, self.log_key)
        if fault:
            raise RetiringRefused(fault)
        return entry

    def append(self, entry: Takeover) -> None:
        """Sign the entry with the administrator's key, and put it on the ledger.

        Raises:
            ConfigError: the key is not here.
            RetiringRefused: it has no right, or none any more.
        """
        (raw,) = sign_as_administrator(self._config, [entry])
        reason = self._recorder.objection(raw)
        if reason:
            raise RetiringRefused(reason)
        kid = cose.parse(raw).kid
        self._recorder.record([NewEntry(raw, leaf_hash(raw), kid, entry.KIND)])
        self.log_key = log_key_of(self._recorder.state)

    def finish(self, config_file: Path, place: str, signer: Signer) -> Path:
        """Let everything here know the new key; return the folder with what ended.

        Raises:
            RetiringRefused: `signer` is not the key that the ledger names.
        """
        if signer.public != self.log_key.public:
            raise RetiringRefused(f"{place}: not the log key that the ledger names now")
        entry = self._last_takeover()
        folder = self._put_aside(entry)
        if not entry.keeps_name:
            self._store.cosignatures.clear()
        text = config_file.read_text(encoding="utf-8")
        changed = set_keys(text, "keys", {"log": place})
        partial = config_file.with_suffix(".partial")
        partial.write_text(changed, encoding="utf-8")
        partial.replace(config_file)
        write_trust(Path(self._config.trust), self._next_trust())
        self._recorder.checkpoint(self.log_key.name, signer)
        return folder

    # --- inside ----------------------------------------------------------------------------

    def _opened(self, note: str, source: str) -> Seen:
        return Seen(open_checkpoint(note, self.log_key), note, source)

    def _peers(self) -> tuple[Peer, ...]:
        policy: LogPolicy = parse_policy(self.trust.policy)
        configured = [Peer(parse_vkey(each.vkey), each.url) for each in self._config.witness]
        return peers_of(policy, configured)

    def _ask(self, peer: Peer) -> Seen | str:
        """Return what a witness shows, "" if it never saw the log, or why that is not known."""
        client = WitnessClient(peer.url)
        try:
            reply = client.newest(self.log_key.name)
        except WitnessAway as away:
            return str(away)
        finally:
            client.close()
        if reply.status == 404:
            return ""
        if reply.status != 200:
            return f"answers {reply.status}"
        try:
            return self._opened(reply.body, f"witness {peer.name}")
        except MessageError as error:
            return f"shows what the log never signed: {error}"

    def _contradicts(self, seen: Seen) -> bool:
        """Whether the old key signed another tree of a size that is here."""
        if seen.head.size > self._store.size:
            return False
        handed = HandedOut(seen.head.size, seen.head.root)
        try:
            opening.check_continues(handed, self._store.nodes, self._store.size, seen.source)
        except LedgerBehind:
            return True
        return False

    def _newest_file(self) -> NewestFile:
        return NewestFile(self._store.newest_path)

    def _last_takeover(self) -> Takeover:
        index = self.last_index
        found = parse_entry(cose.parse(self._store.entry(index).raw))
        if not isinstance(found, Takeover):
            raise RetiringRefused(f"entry {index} is no takeover: run `gridtally-hub verify`")
        return found

    def _put_aside(self, entry: Takeover) -> Path:
        """Keep what belongs to the old log in a folder, for who has to check it later."""
        folder = Path(self._config.state) / "retired" / str(entry.size)
        folder.mkdir(parents=True, exist_ok=True)
        if self.is_unfinished and self.trust.log_vkey == entry.old:
            shutil.copy(self._config.trust, folder / "trust.toml")
        if not (folder / "checkpoint").exists():
            newest = self._store.newest_checkpoint()
            note = (
                "" if newest is None else newest.note + self._store.cosignatures.lines(newest.size)
            )
            (folder / "checkpoint").write_text(note, encoding="utf-8")
        if entry.shown:
            (folder / "shown").write_text(entry.shown, encoding="utf-8")
        newest_file = self._newest_file().path
        if newest_file.exists():
            newest_file.replace(folder / newest_file.name)
        return folder

    def _next_trust(self) -> Trust:
        network = self._recorder.state.network_rows[()]
        return replace(
            self.trust,
            origin=network.origin,
            log_vkey=format_vkey(self.log_key),
            policy=network.policy,
            lineage=lineage_of(self._store),
        )


def lineage_of(store: Store) -> tuple[bytes, ...]:
    """Return the entries that lead from genesis to the log's key (`messages.lineage`)."""
    keys = [(each, parse_entry(cose.parse(each.raw))) for each in store.of_kind(KeyEntry.KIND)]
    members = [(e, b) for e, b in keys if isinstance(b, KeyEntry) and b.holder == "member"]
    officers = {FOUNDER} | {body.name for _, body in members if {*body.roles} & {*OFFICES}}
    wanted = {0: store.entry(0).raw}
    wanted |= {entry.index: entry.raw for entry, body in members if body.name in officers}
    wanted |= {entry.index: entry.raw for entry in store.of_kind(Takeover.KIND)}
    return tuple(raw for _, raw in sorted(wanted.items()))


def new_key(config: HubConfig, index: int, wanted: str | None) -> tuple[str, Signer]:
    """Make the new log's key, or open it if a retirement that was cut short made it.

    Returns its place as hub.toml is to have it, and the signer.

    Raises:
        RetiringRefused: the log's key is no file, and nobody said where the new one goes.
        KeyFault: it cannot be made there.
    """
    place = parse_place(config.keys.log)
    if wanted is None:
        if not isinstance(place, FilePlace):
            raise RetiringRefused("[keys] log is no file: say where the new key goes: --new-key")
        wanted = str(place.path.with_name(f"log-{index}.pem"))
    signer, _ = open_or_generate(wanted, EDDSA)
    if signer.public.alg != EDDSA:
        raise RetiringRefused(f"{wanted}: a log signs with Ed25519, and this key is P-256")
    return wanted, signer
