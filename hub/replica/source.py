"""Where a replica gets the log from: the hub or any mirror, over HTTP, or a folder.

A source is asked by path, as C2SP tlog-tiles names them, and never believed. Several are asked in
turn: the first that has it answers, and one that served something wrong is asked last.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol, TypeVar
from urllib.parse import urlsplit

from hub.replica.errors import SourceAway, SourceWrong

TIMEOUT_S: Final = 10.0
BODY_WITHIN_S: Final = 60.0
BODY_BYTES_MAX: Final = 256 * (65_535 + 2)  # an entry bundle at its longest
REASON_CHARS_MAX: Final = 200
CHUNK_BYTES: Final = 65_536

Found = TypeVar("Found")
Headers = Mapping[str, str]
NONE: Final[Headers] = MappingProxyType({})


class Source(Protocol):
    """One place. What it has not got, or cannot give now, is SourceAway."""

    @property
    def place(self) -> str:
        """Where it is, as the configuration names it."""

    def get(self, path: str, limit: int = BODY_BYTES_MAX, headers: Headers = NONE) -> bytes:
        """Return what lies at a path without a leading slash, `limit` bytes at most."""

    def post(self, path: str, body: bytes) -> None:
        """Hand something in."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a source asks for: the token of its entries, and who signed its certificate."""

    token: str = ""
    ca_file: str | None = None


class HttpSource:
    """A hub's web process, a replica, or any web server with exported tiles. For any thread."""

    def __init__(self, url: str, access: Access | None = None, timeout_s: float = TIMEOUT_S):
        self.place = url
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._prefix = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        access = access or Access()
        self._headers = {"User-Agent": "gridtally-replica"}
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token}"
        self._tls = (
            ssl.create_default_context(cafile=access.ca_file) if parts.scheme == "https" else None
        )
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, limit: int = BODY_BYTES_MAX, headers: Headers = NONE) -> bytes:
        """Ask; SourceAway if it is not there, or does not answer in time."""
        return self._ask("GET", path, None, limit, headers)

    def post(self, path: str, body: bytes) -> None:
        """Hand in; SourceAway if it was not taken."""
        self._ask("POST", path, body, CHUNK_BYTES, NONE)

    def _ask(
        self, method: str, path: str, body: bytes | None, limit: int, headers: Headers
    ) -> bytes:
        headers = {**self._headers, **headers}
        with self._lock:
            was_open = self._connection is not None
            try:
                try:
                    status, answer = self._ask_once(method, path, body, limit, headers)
                except (ConnectionError, http.client.RemoteDisconnected):
                    self._hang_up()  # it may have been idle for too long: once more
                    if not was_open:
                        raise
                    status, answer = self._ask_once(method, path, body, limit, headers)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._hang_up()
                raise SourceAway(f"{self.place}: {_words(error)}") from error
        if status != 200:
            said = answer[:REASON_CHARS_MAX].decode("utf-8", "replace").strip()
            raise SourceAway(f"{self.place}: {path}: {status} {said}".strip())
        return answer

    def _ask_once(
        self, method: str, path: str, body: bytes | None, limit: int, headers: Headers
    ) -> tuple[int, bytes]:
        deadline_s = time.monotonic() + BODY_WITHIN_S
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request(method, f"{self._prefix}/{path}", body, headers)
        response = self._connection.getresponse()
        answer = bytearray()
        while chunk := response.read1(CHUNK_BYTES):
            answer += chunk
            if len(answer) > limit:
                raise ValueError(f"{path}: its answer is too long")
            if time.monotonic() > deadline_s:
                raise TimeoutError
        response.close()
        if response.will_close:
            self._hang_up()
        return response.status, bytes(answer)

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout_s, context=self._tls
        )

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class FolderSource:
    """Exported tiles in a folder, such as a copy that somebody brought."""

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)
        self._folder = folder

    def get(self, path: str, limit: int = BODY_BYTES_MAX, headers: Headers = NONE) -> bytes:
        """Read a file; SourceAway if it is not there."""
        try:
            with (self._folder / path).open("rb") as file:
                found = file.read(limit + 1)
        except OSError as error:
            raise SourceAway(f"{self.place}: {path}: {error.strerror}") from error
        if len(found) > limit:
            raise SourceAway(f"{self.place}: {path} is too long")
        return found

    def post(self, path: str, body: bytes) -> None:
        """Nobody reads what is laid into a folder; raises SourceAway."""
        raise SourceAway(f"{self.place} is a folder: it takes nothing")


class Sources:
    """All sources as one. Those that failed are asked after the others."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = list(sources)

    @property
    def places(self) -> tuple[str, ...]:
        """Where they are, the one that is asked first before the others."""
        return tuple(source.place for source in self._sources)

    def first(self, read: Callable[[Source], Found]) -> Found:
        """Return what `read` makes of the first source that has it right.

        Raises:
            SourceAway, SourceWrong: what the last one did; no other did better.
        """
        trouble: SourceAway | SourceWrong = SourceAway("there is no source to ask")
        for source in tuple(self._sources):
            try:
                return read(source)
            except (SourceAway, SourceWrong) as error:
                trouble = error
                self._sources.remove(source)
                self._sources.append(source)
        raise trouble

    def get(self, path: str, limit: int = BODY_BYTES_MAX) -> bytes:
        """Return what lies at a path of the first source that has it; or SourceAway."""
        return self.first(lambda source: source.get(path, limit))

    def post(self, path: str, body: bytes) -> list[str]:
        """Hand in everywhere; return why those that did not take it did not."""
        reasons = []
        for source in tuple(self._sources):
            try:
                source.post(path, body)
            except SourceAway as error:
                reasons.append(str(error))
        return reasons


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "does not answer in time"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]
