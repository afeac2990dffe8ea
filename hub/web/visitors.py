"""Who asks: nobody in particular, or whose key signed the request. Each request counts once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

from fastapi import HTTPException

from hub.core.disclosing import NOBODY, Asker, asker_with
from hub.link.buckets import Buckets
from hub.web.reader import LedgerReader
from messages.asking import SCHEME, VALID_MS, check_ask, parse_ask
from messages.errors import MessageError
from messages.publickey import parse_cose_key

Who = Callable[[str, str], Asker]
"""From the header Authorization and the path to who asks."""

BURST: Final = 200
EVERY_MS: Final = 100
"""A member asks ten times a second, and so often at once; so nobody can keep others out."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Visitors:
    """Owns the nonces of requests that still could come again. For any thread."""

    def __init__(self, ledger: LedgerReader, clock_ms: Callable[[], int] = _now_ms) -> None:
        self._ledger = ledger
        self._clock_ms = clock_ms
        self._lock = Lock()
        self._nonces: OrderedDict[bytes, int] = OrderedDict()  # -> when it came [ms UTC]
        self._buckets = Buckets(BURST, EVERY_MS)

    def who(self, authorization: str, path: str) -> Asker:
        """Return who asks for a path; NOBODY without a signature of ours.

        Raises:
            HTTPException: 401, the signature is not what it has to be, or 429, the member asks too
                often; the text says which.
        """
        if not authorization.startswith(SCHEME):
            return NOBODY
        now_ms = self._clock_ms()
        try:
            envelope, ask = parse_ask(authorization)
            with self._ledger.lock:
                state = self._ledger.state
                key, network = state.keys.get(envelope.kid), state.network
                asker = asker_with(state, envelope.kid)
            if key is None or network is None or asker == NOBODY:
                raise _refused(f"no member that counts has the key {envelope.kid.hex()}")
            public = parse_cose_key(key.cose_key)
            check_ask(envelope, ask, public, network.network_id, path, now_ms)
        except MessageError as error:
            raise _refused(str(error)) from None
        self._count(asker.name, ask.nonce, now_ms)
        return asker

    def member(self, authorization: str, path: str) -> Asker:
        """Return who asks, where nobody in particular may not; HTTPException 401."""
        asker = self.who(authorization, path)
        if asker == NOBODY:
            raise _refused("sign the request with a member's key")
        return asker

    def _count(self, member: str, nonce: bytes, now_ms: int) -> None:
        with self._lock:
            while self._nonces and next(iter(self._nonces.values())) < now_ms - 2 * VALID_MS:
                self._nonces.popitem(last=False)
            if nonce in self._nonces:
                raise _refused("this request was answered once already: sign another")
            if not self._buckets.take(member, now_ms):
                raise HTTPException(429, f"{member} asks too often: ask again in a second")
            self._nonces[nonce] = now_ms


def _refused(reason: str) -> HTTPException:
    return HTTPException(401, reason, {"WWW-Authenticate": SCHEME.strip()})
