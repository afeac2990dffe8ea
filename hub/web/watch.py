"""Keeps one picture of the microgrid fresh: broker in, ledger in, `picture()` out.

Two threads of its own, both daemons: one takes in what the broker brings, one reads and verifies
the ledger. Pages and REST only ask for the newest picture.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hub.config import HubConfig
from hub.core.disclosing import NOBODY, OPEN, Asker, disclosure_at
from hub.lens import Roll, lens_of
from hub.link.arrivals import Arrivals
from hub.link.broker import BrokerLink
from hub.market.catalog import installed
from hub.ordering.market import markets
from hub.switching.explaining import find_relay
from hub.vitals.health import read_health, silence
from hub.watching.collecting import Lookout
from hub.watching.suspects import Suspect
from hub.web.compose import compose_picture
from hub.web.reader import LedgerReader
from hub.web.samples import Samples
from hub.web.showing import seen_relays, show_picture, show_slots
from hub.web.view import Picture, SlotView
from hub.web.why import WhyView, show_why
from messages import topics
from messages.publickey import PublicKey, parse_cose_key
from messages.trust import parse_trust

LEDGER_EVERY_S = 1.0
TAKE_S = 0.5
BACKOFF_SIMULATION_S = 2.0
SLOTS_SHOWN = 96

log = logging.getLogger("hub.web")


class Watch:
    """Owns the web process's broker link, samples and ledger reader."""

    def __init__(self, config: HubConfig) -> None:
        self._config = config
        self._trust = parse_trust(Path(config.trust).read_text(encoding="utf-8"))
        self.ledger = LedgerReader(config, self._trust, installed())
        self._samples = Samples(self._trust)
        self._samples_lock = threading.Lock()
        self._keys: dict[bytes, PublicKey] = {}
        self._roll = Roll()
        self._lookout = Lookout()
        self._suspects: tuple[Suspect, ...] = ()
        self._stopping = threading.Event()
        self._arrivals = Arrivals(linger_s=0.0, clock_s=time.monotonic)
        settings = replace(
            config.broker,
            user=config.web.user,
            password_file=config.web.password_file,
            tls=config.web.broker_tls or config.broker.tls,
        )
        self._link = BrokerLink(
            settings,
            config.microgrid,
            self._arrivals,
            subscriptions=(topics.all_up(config.microgrid), topics.every_down(config.microgrid)),
            backoff_max_s=BACKOFF_SIMULATION_S if config.simulation else 30.0,
        )
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (("ledger", self._read_ledger), ("samples", self._take_samples))
        ]

    def start(self) -> None:
        """Begin to watch; a broker or a ledger that is not there yet is waited for."""
        self._link.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads and the broker link."""
        self._stopping.set()
        self._arrivals.wake()
        self._link.stop()

    def picture(self, asker: Asker = NOBODY) -> Picture:
        """Return the microgrid as it is now, and as the asker may see it."""
        health = read_health(Path(self._config.state))
        silent = silence(health, time.time_ns() // 1_000_000)
        alarms = (f"Hub: {silent}. This page shows what it left behind.",) if silent else ()
        slots, ledger = self.ledger.slots(SLOTS_SHOWN), self.ledger.view()
        with self._samples_lock, self.ledger.lock:
            state = self.ledger.state
            whole = compose_picture(
                self._config, self._trust, state, self._samples, health or {}, now_ms()
            )
            whole = replace(whole, markets=tuple(markets(state, self.ledger.contracts)))
            whole = self.ledger.decisions.note_on(whole)
            lens = lens_of(state, asker, self._roll)
            shown = show_picture(
                replace(whole, slots=slots, ledger=ledger, suspects=self._suspects), lens
            )
        return replace(shown, alarms=alarms or shown.alarms)

    def slots(self, limit: int, asker: Asker = NOBODY) -> tuple[SlotView, ...]:
        """Return the newest closed slots as the asker may see them, newest first."""
        slots = self.ledger.slots(limit)
        with self.ledger.lock:
            return show_slots(slots, lens_of(self.ledger.state, asker, self._roll))

    def why(self, wanted: str, at_ms: int | None = None, asker: Asker = NOBODY) -> WhyView:
        """Return why a relay stood as it did at a time, or stands now, as the asker may see it.

        Raises:
            NoSuchEntry: he sees no relay that is called so; the text names those he sees.
        """
        with self.ledger.lock:
            state = self.ledger.state
            lens = lens_of(state, asker, self._roll)
            name = find_relay(seen_relays(state, lens), wanted)
        found = self.ledger.why("/".join(name), at_ms)
        with self.ledger.lock:
            return show_why(found, lens_of(self.ledger.state, asker, self._roll))

    def is_disclosed(self) -> bool:
        """Whether the disclosure in force hides nothing of what entries say."""
        with self.ledger.lock:
            return disclosure_at(self.ledger.state) == OPEN

    def _read_ledger(self) -> None:
        while not self._stopping.is_set():
            if self._quietly(self.ledger.refresh):
                self._suspects = self.ledger.suspects(self._lookout)
                self._stopping.wait(LEDGER_EVERY_S)
            self._reload_keys()

    def _quietly(self, refresh: Callable[[], bool]) -> bool:
        try:
            return refresh()
        except OSError as error:
            log.warning("the ledger cannot be read: %s; trying again", error)
            return True

    def _reload_keys(self) -> None:
        with self.ledger.lock:
            rows = {
                kid: key.cose_key
                for kid, key in self.ledger.state.keys.items()
                if key.until_index is None
            }
        keys = {kid: self._keys.get(kid) or parse_cose_key(raw) for kid, raw in rows.items()}
        self._keys = keys

    def _take_samples(self) -> None:
        while not self._stopping.is_set():
            batch = self._arrivals.take(TAKE_S)
            with self._samples_lock:
                for arrival in (*batch.urgent, *batch.bulk):
                    self._samples.take_in(arrival, self._keys, now_ms())


def now_ms() -> int:
    """Return this process's monotonic clock. [ms]"""
    return int(time.monotonic() * 1000)
