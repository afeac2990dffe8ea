"""The pairing endpoint: a small TLS server that lives as long as one `pair` command.

It speaks one protocol (`messages.pairing`) and serves nothing else: no page, no file, no second
message. Connections are few, short and bounded, and slow ones are closed; only the one whose
request was judged good waits, for the person. Its TLS key is made for this one pairing, and the
pairing text pins it. It runs in a thread of its own; what it has to say goes into `events`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import secrets
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from hub.joining.authority import BEGIN, END
from hub.joining.errors import JoiningRefused
from hub.joining.window import Joining, Refused, Window
from messages import schema
from messages.errors import MessageError
from messages.pairing import (
    ASKED,
    CHALLENGE_BYTES,
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    REFUSED,
    Answer,
    Offer,
    Request,
    frame,
    frame_length,
)

CONNECTIONS_MAX: Final = 8
HANDSHAKE_S: Final = 5.0
REQUEST_S: Final = 10.0
WRITE_S: Final = 5.0

log = logging.getLogger("hub.joining")


@dataclass(frozen=True, slots=True)
class Told:
    """Something that a person at the hub should read."""

    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that waits for a person; set `answer`, and the node gets it."""

    joining: Joining
    peer: str
    answer: Future[Answer]


@dataclass(frozen=True, slots=True)
class Closed:
    """No request can succeed any more."""


Event = Told | Asked | Closed


class TlsKey:
    """A TLS key and certificate for one pairing; the key is written nowhere that stays."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gridtally pairing")])
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(BEGIN)
            .not_valid_after(END)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def public(self) -> bytes:
        """The key as the pin covers it (SubjectPublicKeyInfo)."""
        key = self._key.public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def context(self) -> ssl.SSLContext:
        """Return the TLS settings of a server with this key."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with tempfile.TemporaryDirectory() as folder:  # mode 0700; ssl reads keys from files only
            path = Path(folder) / "pairing.pem"
            path.write_bytes(pem + self._certificate.public_bytes(Encoding.PEM))
            context.load_cert_chain(path)
        return context


class Endpoint:
    """Owns the listening socket and the connections of one pairing."""

    def __init__(
        self,
        window: Window,
        offer: Offer,
        key: TlsKey,
        now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        """Take a window, the offer without its challenge, and the key that the pin covers."""
        self.events: queue.Queue[Event] = queue.Queue()
        self._window = window
        self._offer = offer
        self._key = key
        self._now_ms = now_ms
        self._open = 0
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="pairing", daemon=True)

    def start(self, host: str, port: int) -> int:
        """Begin to listen; return the port.

        Raises:
            JoiningRefused: the address is not this machine's, or the port is taken.
        """
        self._thread.start()
        opening = self._listen(host, port)
        try:
            self._server = asyncio.run_coroutine_threadsafe(opening, self._loop).result()
        except OSError as error:
            self.stop()
            raise JoiningRefused(
                f"cannot listen on {host}:{port} ({error.strerror or error}): say another --port, "
                "or with --host an address of this machine"
            ) from None
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Close everything; answers that were set before are sent first."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        if not self._loop.is_closed():
            self._loop.close()

    async def _listen(self, host: str, port: int) -> asyncio.Server:
        return await asyncio.start_server(
            self._serve,
            host,
            port,
            ssl=self._key.context(),
            ssl_handshake_timeout=HANDSHAKE_S,
            limit=FRAME_BYTES_MAX + LENGTH_BYTES,
            backlog=CONNECTIONS_MAX,
        )

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=WRITE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("?",))[0])
        self._open += 1
        try:
            if self._open <= CONNECTIONS_MAX:
                await self._talk(reader, writer, peer)
        except (TimeoutError, asyncio.IncompleteReadError):
            self._tell(f"{peer} was too slow, or went away")
        except MessageError as error:
            self._tell(f"{peer} speaks another protocol: {error}")
        except OSError as error:
            self._tell(f"{peer}: {error}")
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), WRITE_S)

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str
    ) -> None:
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        await _send(writer, replace(self._offer, challenge=challenge))
        async with asyncio.timeout(REQUEST_S):
            length = frame_length(await reader.readexactly(LENGTH_BYTES))
            request = schema.decode_record(Request, await reader.readexactly(length))
        judged = self._window.judge(request, challenge, self._now_ms())
        if isinstance(judged, Refused):
            self._tell(f"{peer} was refused: {judged}")
            await _send(writer, Answer(REFUSED, str(judged)))
            if self._window.is_closed:
                self.events.put(Closed())
            return
        await _send(writer, Answer(ASKED))
        asked = Asked(judged, peer, Future())
        self.events.put(asked)
        answer: Answer = await asyncio.wrap_future(asked.answer)
        await _send(writer, answer)

    def _tell(self, text: str) -> None:
        log.info("%s", text)
        self.events.put(Told(text))


async def _send(writer: asyncio.StreamWriter, message: Offer | Answer) -> None:
    writer.write(frame(schema.encode_record(message)))
    async with asyncio.timeout(WRITE_S):
        await writer.drain()
