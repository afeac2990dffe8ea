"""A store on an IPFS node, by the RPC of Kubo: each blob one raw block, pinned.

fsspec's package for IPFS only reads, so this speaks to the node itself. The id of a raw block
follows from the SHA-256 that is a blob's name, so whoever has a blob's name finds it from any node:

    CID v1   "b" + base32(0x01, 0x55 raw, 0x12 sha2-256, 0x20, digest), in small letters, no "="

Source: CID and multicodec tables of multiformats; Kubo RPC v0 reference, block/put, get, rm.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
from contextlib import suppress
from typing import Final
from urllib.parse import quote, urlsplit

IPFS: Final = "ipfs:"
RAW_BLOCK_MAX: Final = 1 << 20
"""What nodes take and pass on as one block. [bytes]"""
TIMEOUT_S: Final = 30.0
SEARCH_S: Final = 10
"""How long a node looks for a block that it has not got."""
ANSWER_BYTES_MAX: Final = RAW_BLOCK_MAX + 1_024


def cid_of(name: str) -> str:
    """Return the id of the raw block with a SHA-256, which is given in hex.

    >>> import hashlib
    >>> cid_of(hashlib.sha256(b"hello world").hexdigest())
    'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'
    """
    raw = bytes((1, 0x55, 0x12, 0x20)) + bytes.fromhex(name)
    return "b" + base64.b32encode(raw).decode().lower().rstrip("=")


class IpfsStore:
    """One node, e.g. ipfs:http://127.0.0.1:5001. A failure is an OSError."""

    def __init__(self, place: str) -> None:
        """Take the place; ValueError if it names no node."""
        parts = urlsplit(place.removeprefix(IPFS))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                "want ipfs: and the RPC address of a Kubo node, e.g. ipfs:http://127.0.0.1:5001"
            )
        self.place = place
        self._parts = parts

    def put(self, name: str, blob: bytes) -> None:
        """Add and pin a block; OSError for one that nodes do not pass on."""
        if len(blob) > RAW_BLOCK_MAX:
            raise OSError(f"a block of IPFS has at most {RAW_BLOCK_MAX} bytes, this {len(blob)}")
        answer = self._ask("block/put?cid-codec=raw&mhtype=sha2-256&pin=true", blob)
        try:
            key = json.loads(answer)["Key"]
        except (ValueError, KeyError, TypeError):
            raise OSError(f"{self.place}: no answer of an IPFS node") from None
        if key != cid_of(name):
            raise OSError(f"{self.place}: the node stored {key}, which is another block")

    def get(self, name: str) -> bytes:
        """Return a block that this node has, or finds with others in time."""
        return self._ask(f"block/get?arg={quote(cid_of(name))}&timeout={SEARCH_S}s")

    def delete(self, name: str) -> None:
        """Unpin and remove it here; nodes that copied it keep it."""
        cid = quote(cid_of(name))
        with suppress(FileNotFoundError):  # it is not pinned: erased before, or never taken
            self._ask(f"pin/rm?arg={cid}")
        self._ask(f"block/rm?arg={cid}&force=true")

    def _ask(self, command: str, blob: bytes | None = None) -> bytes:
        secure = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=TIMEOUT_S)
        body, headers = (b"", {}) if blob is None else _multipart(blob)
        path = f"{self._parts.path.rstrip('/')}/api/v0/{command}"
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            found = answer.read(ANSWER_BYTES_MAX)
        except http.client.HTTPException as error:
            raise OSError(f"{self.place}: {type(error).__name__}") from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            # Kubo answers every failure of a command with 500, so this may be any of them.
            raise FileNotFoundError(f"{self.place}: {answer.status} {_reason(found)}")
        return found


def _multipart(blob: bytes) -> tuple[bytes, dict[str, str]]:
    """Return a form with one file, as the RPC takes it."""
    mark = secrets.token_hex(16)
    head = f'--{mark}\r\nContent-Disposition: form-data; name="data"; filename="data"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    body = head.encode() + blob + f"\r\n--{mark}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={mark}"}


def _reason(answer: bytes) -> str:
    return answer[:200].decode("utf-8", errors="replace").strip()
