"""From a command to the ledger: signs with the administrator's key, hands over, waits for the word.

If the hub runs, entries go through its inbox and this waits for what it says. If it does not, the
ledger is opened and the same desk takes them here and now.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hub.balancing.catalog import installed as installed_policies
from hub.casework.telling import tell_owners
from hub.commands.founding import Founded, Plan, found, write_config
from hub.config import HubConfig
from hub.desk import Desk
from hub.errors import ConfigError, LedgerLocked, NoAnswer
from hub.inbox import Inbox
from hub.ledger.preimages import Preimages
from hub.ledger.records import NewEntry
from hub.ledger.store import Store
from hub.link.post import Post
from hub.market.catalog import installed as installed_contracts
from hub.pen import Pen
from hub.recorder import Recorder
from hub.spine import Spine
from hub.starting import Opened, load_key, open_hub, read_trust
from hub.vault.keeper import Keeper
from messages import cose
from messages.entries import parse_entry, sign_entry
from messages.log.tree import leaf_hash

ANSWER_WAIT_S = 15.0
LOOK_EVERY_S = 0.05


def found_installation(directory: Path, plan: Plan, now_ms: int) -> Founded:
    """Make keys, configuration and a ledger with its first entries and first checkpoint.

    Raises:
        FoundingRefused, KeyFault: as `found`.
    """
    founded = found(directory, plan, now_ms)
    with Store.open(f"sqlite:///{directory / 'ledger.db'}", create=True) as store:
        recorder = Recorder(store, installed_contracts())
        recorder.record([_as_entry(raw) for raw in founded.entries])
        recorder.checkpoint(plan.origin, founded.log)
    write_config(directory, plan)
    return founded


def sign_as_administrator(config: HubConfig, bodies: Iterable[Any]) -> list[bytes]:
    """Return entries signed by the administrator's key.

    Raises:
        ConfigError: the key is not here, or the configuration names none.
    """
    if config.keys.administrator is None:
        raise ConfigError(
            (
                "[keys] administrator: not set; this command signs with it. Bring the key, or run "
                "the command where it lies.",
            )
        )
    signer = load_key("administrator", config.keys.administrator)
    network_id = read_trust(Path(config.trust)).network_id
    return [sign_entry(signer, body, network_id) for body in bodies]


def hand_over(config: HubConfig, entries: Sequence[bytes]) -> list[str]:
    """Get signed entries onto the ledger; return for each why not, or an empty text.

    Raises:
        NoAnswer: a hub has the ledger open and did not take them in time; they stay in its inbox.
    """
    try:
        opened = open_hub(config)
    except LedgerLocked:
        return _through_inbox(config, entries)
    try:
        return _directly(opened, entries)
    finally:
        opened.close()


def _directly(opened: Opened, entries: Sequence[bytes]) -> list[str]:
    spine = Spine(opened.recorder, opened.pen, _post(opened.pen, opened.config), opened.rules)
    inbox = Inbox(Path(opened.config.state))
    desk = Desk(inbox, spine, installed_contracts(), installed_policies())
    reasons = [desk.append(raw) for raw in entries]
    tell_owners(spine, opened.pen)
    spine.sign_checkpoint()
    if not opened.policy.witnessed:
        store = opened.recorder.store
        keeper = Keeper(Path(opened.config.state), Preimages(store.engine))
        keeper.serve(opened.recorder.state, store.size)
    return reasons


def _through_inbox(config: HubConfig, entries: Sequence[bytes]) -> list[str]:
    inbox = Inbox(Path(config.state))
    paths = [inbox.put(raw) for raw in entries]
    deadline_s = time.monotonic() + ANSWER_WAIT_S
    while True:
        outcomes = [inbox.outcome(path) for path in paths]
        waiting = outcomes.count(None)
        if not waiting:
            return [outcome or "" for outcome in outcomes]
        if time.monotonic() > deadline_s:
            raise NoAnswer(
                f"{waiting} of {len(paths)} entries still wait in {paths[0].parent}: the running "
                "hub takes none now. `gridtally-hub status` says why; it takes them when it can."
            )
        time.sleep(LOOK_EVERY_S)


class Nobody:
    """A link when no broker is needed."""

    is_open = False

    def publish(self, topic: str, raw: bytes, *, qos: int = 1) -> bool:
        """Take nothing."""
        return False


def _post(pen: Pen, config: HubConfig) -> Post:
    return Post(Nobody(), pen, config.microgrid)


def _as_entry(raw: bytes) -> NewEntry:
    envelope = cose.parse(raw)
    return NewEntry(raw, leaf_hash(raw), envelope.kid, parse_entry(envelope).KIND)
