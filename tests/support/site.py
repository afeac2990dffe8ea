"""A hub and its web process in two threads, to be asked over HTTP on loopback."""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from hypercorn.asyncio import serve
from hypercorn.config import Config

from hub.balancing.catalog import POLICIES
from hub.core.disclosing import NOBODY, Asker
from hub.desk import Desk
from hub.inbox import Inbox
from hub.ledger.preimages import Preimages
from hub.lens import lens_of
from hub.market.catalog import CONTRACTS
from hub.vault.answers import Answers
from hub.vault.keeper import Keeper
from hub.vault.stores import open_stores
from hub.web.api import build_routes
from hub.web.banking import build_bank_routes
from hub.web.orders import build_order_routes
from hub.web.reader import LedgerReader
from hub.web.requests import Counter, build_request_routes
from hub.web.showing import show_picture, show_slots
from hub.web.tlog import EntryDoor, build_log_routes
from hub.web.view import Picture, SlotView
from hub.web.visitors import Visitors
from keys.file import FileSigner
from member.calling import HubClient
from tests.support.pictures import member, picture

Task = Callable[[Any, Any], object]


class Sight:
    """Shows one household under the policy of the ledger."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger

    def picture(self, asker: Asker = NOBODY) -> Picture:
        with self._ledger.lock:
            lens = lens_of(self._ledger.state, asker)
            return show_picture(picture(member("alice", 5, account_utok=77)), lens)

    def slots(self, limit: int, asker: Asker = NOBODY) -> tuple[SlotView, ...]:
        found = self._ledger.slots(limit)
        with self._ledger.lock:
            return show_slots(found, lens_of(self._ledger.state, asker))


class Site:
    """A hub that takes what waits, and its web process, on loopback. In two threads.

    `here` has a `bench` and a `config`.
    """

    def __init__(self, here: Any) -> None:
        self.here = here
        self.trust = here.bench.open()
        self.trust.close()
        self.ledger = LedgerReader(here.config, self.trust.trust)
        self.ledger.refresh()
        state = Path(here.config.state)
        stores = open_stores(here.config.records.stores, here.config.state)
        visitors = Visitors(self.ledger)
        counter = Counter(self.ledger, visitors, Inbox(state), Answers(state), stores)
        app, door = FastAPI(), EntryDoor(None)
        app.include_router(build_routes(Sight(self.ledger), self.ledger, door, visitors.who))
        app.include_router(build_log_routes(self.ledger, door))
        app.include_router(build_request_routes(counter))
        app.include_router(build_bank_routes(self.ledger, visitors))
        app.include_router(build_order_routes(self.ledger, visitors, CONTRACTS))
        self.tasks: queue.SimpleQueue[tuple[Task, threading.Event]] = queue.SimpleQueue()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=self._serve, args=(app,)),
            threading.Thread(target=self._work),
        ]
        for thread in self.threads:
            thread.start()

    def _serve(self, app: FastAPI) -> None:
        config = Config()
        config.bind = [f"fd://{os.dup(self.listener.fileno())}"]

        async def until_over() -> None:
            await asyncio.to_thread(self.over.wait)

        async def run() -> None:
            await serve(app, config, shutdown_trigger=until_over)  # type: ignore[arg-type]

        asyncio.run(run())

    def _work(self) -> None:
        opened = self.here.bench.open()
        store = opened.recorder.store
        spine = self.here.bench.spine(opened)
        desk = Desk(Inbox(Path(self.here.config.state)), spine, CONTRACTS, POLICIES)
        keeper = Keeper(Path(self.here.config.state), Preimages(store.engine))
        while not self.over.is_set():
            if desk.take():
                spine.sign_checkpoint()
            while not self.tasks.empty():
                task, is_done = self.tasks.get()
                task(opened, spine)
                self.ledger.refresh()
                is_done.set()
            keeper.serve(opened.recorder.state, store.size)
            self.ledger.refresh()
            self.over.wait(0.05)
        opened.close()

    def do(self, task: Task) -> None:
        """Let the hub's own thread do something."""
        is_done = threading.Event()
        self.tasks.put((task, is_done))
        assert is_done.wait(20)

    def client(self, signer: FileSigner) -> HubClient:
        return HubClient(self.url, signer, self.trust.trust)

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.listener.close()
