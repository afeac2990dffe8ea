"""A hub as `gridtally-hub order` reaches it: by the ledger and the inbox on its own machine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hub.commands.enrolling import hand_over
from hub.config import HubConfig
from hub.core.effects import CallFailed, CallServed, Effect
from hub.core.state import State
from hub.errors import OrderRefused
from hub.ledger.books import FateRow
from hub.ledger.store import Store
from hub.market.catalog import installed
from hub.market.orderbook import Laid
from hub.ordering.market import MarketView, book_of, market_at, markets
from hub.starting import read_trust
from hub.vault.desk import read_state
from hub.vault.following import Follower
from keys.salts import Salts
from keys.trading import Told, Trader
from messages.orders import Market
from messages.publickey import Signer

SALTS: Final = "sealed-orders"


class OrderDesk:
    """Speaks for whoever's key signs, with the hub of a configuration."""

    def __init__(self, config: HubConfig) -> None:
        self._config = config
        self._contracts = installed()

    def trader(self, signer: Signer, salts: Path | None) -> Trader:
        """Return what a member trades by; sealed orders lie in a folder of his, or the hub's.

        Raises:
            OrderRefused: no entry has enrolled his key.
        """
        network_id = read_trust(Path(self._config.trust)).network_id
        folder = Path(self._config.state) / SALTS if salts is None else salts
        return Trader(self, signer, network_id, self.member(signer), Salts(folder))

    def member(self, signer: Signer) -> str:
        """Return whose key it is; OrderRefused if it is no member's that counts."""
        key = self.state().keys.get(signer.public.kid)
        if key is None or key.holder != "member" or not key.is_current:
            raise OrderRefused(f"no member that counts has the key {signer.public.fingerprint}")
        return key.name

    def market(self, slot_ms: int | None) -> Market:
        """Return the market of a slot, None: of the one that closes next."""
        return market_at(self.state(), self._contracts, slot_ms)

    def hand_in(self, raw: bytes, call_id: bytes) -> Told:
        """Hand in a signed call, and say what the fold made of it.

        Raises:
            NoAnswer: the running hub did not take it in time; it waits in its inbox.
        """
        with Store.open(self._config.database, read_only=True) as store:
            fold = Follower(store)
            (reason,) = hand_over(self._config, [raw])
            return Told(call_id, reason) if reason else told_of(fold.advance(), call_id)

    def markets(self) -> list[MarketView]:
        """Return the market in force, then those that are to come."""
        return list(markets(self.state(), self._contracts))

    def book(self, member: str) -> list[Laid]:
        """Return what waits of a member's, by place."""
        return [each for each in book_of(self.state(), self._contracts) if each.member == member]

    def fates(self, member: str, limit: int) -> list[FateRow]:
        """Return what became of a member's newest orders, newest first."""
        with Store.open(self._config.database, read_only=True) as store:
            return store.books.fates_of(member, limit)

    def state(self) -> State:
        """Return the fold's state, as the ledger has it now."""
        return read_state(self._config)


def told_of(effects: list[Effect], call_id: bytes) -> Told:
    """Return what became of a call; one that was served before these effects has no answer."""
    for effect in effects:
        if isinstance(effect, CallServed | CallFailed) and effect.call_id == call_id:
            if isinstance(effect, CallFailed):
                return Told(call_id, effect.reason)
            return Told(call_id, answer=effect.answer)
    return Told(call_id)
