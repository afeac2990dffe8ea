"""Who asks: nobody in particular, or whose key signed the request. Each request counts once."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock
from typing import Final

from fastapi import HTTPException

from hub.core.disclosing import NOBODY, Asker, asker_with
from hub.web.reader import LedgerReader
from messages.asking import SCHEME, VALID_MS, check_ask, parse_ask
from messages.errors import MessageError
from messages.publickey import parse_cose_key

NONCES_MAX: Final = 100_000
"""Signed requests in two minutes; further ones are refused until some are over."""


class Visitors:
    """Owns the nonces of requests that still could come again. For any thread."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger
        self._lock = Lock()
        self._nonces: OrderedDict[bytes, int] = OrderedDict()  # -> when it came [ms UTC]

    def who(self, authorization: str, path: str) -> Asker:
        """Return who asks for a path; NOBODY without a signature of ours.

        Raises:
            HTTPException: 401, the signature is not what it has to be; the text says why.
        """
        if not authorization.startswith(SCHEME):
            return NOBODY
        now_ms = time.time_ns() // 1_000_000
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
        if not self._is_new(ask.nonce, now_ms):
            raise _refused("this request was answered once already: sign another")
        return asker

    def member(self, authorization: str, path: str) -> Asker:
        """Return who asks, where nobody in particular may not; HTTPException 401."""
        asker = self.who(authorization, path)
        if asker == NOBODY:
            raise _refused("sign the request with a member's key")
        return asker

    def _is_new(self, nonce: bytes, now_ms: int) -> bool:
        with self._lock:
            while self._nonces and next(iter(self._nonces.values())) < now_ms - 2 * VALID_MS:
                self._nonces.popitem(last=False)
            if nonce in self._nonces or len(self._nonces) >= NONCES_MAX:
                return False
            self._nonces[nonce] = now_ms
            return True


def _refused(reason: str) -> HTTPException:
    return HTTPException(401, reason, {"WWW-Authenticate": SCHEME.strip()})
