"""Asks for what opens sealed readings, as a replica that is enrolled; keeps none of it on disk.

What a household sealed may be erased one day; a replica that kept it would keep it for ever.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

from hub.replica.errors import SourceAway
from hub.replica.source import Source, Sources
from messages.entries import sign_entry
from messages.errors import MalformedMessage
from messages.log.tiles import WIDTH
from messages.opening import ANSWER_BYTES_MAX, Opening, parse_preimages
from messages.publickey import Signer

HEADER: Final = "Gridtally-Request"


class Preimages:
    """Answers by index; asked in order, it asks a source once for 256 entries."""

    def __init__(
        self,
        signer: Signer | None,
        network_id: bytes,
        sources: Sources,
        utc_ms: Callable[[], int],
    ) -> None:
        """`signer`: the key that is enrolled; None: this replica may open nothing."""
        self._signer = signer
        self._network_id = network_id
        self._sources = sources
        self._utc_ms = utc_ms
        self._known: dict[int, bytes] = {}

    def of(self, index: int) -> bytes | None:
        """Return the preimage of the entry at an index, once; None if nobody gives it."""
        if index not in self._known and self._signer is not None:
            self._known = self._fetch(index // WIDTH, self._signer)
        return self._known.pop(index, None)

    def _fetch(self, bundle: int, signer: Signer) -> dict[int, bytes]:
        request = sign_entry(signer, Opening(self._utc_ms(), bundle), self._network_id)
        headers = {HEADER: base64.b64encode(request).decode()}

        def read(source: Source) -> dict[int, bytes]:
            try:
                raw = source.get(f"opening/{bundle}", ANSWER_BYTES_MAX, headers)
                return parse_preimages(raw)
            except MalformedMessage as error:
                raise SourceAway(f"{source.place}: {error}") from error

        return self._sources.first(read)
