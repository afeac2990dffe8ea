"""One witness over HTTP, with one connection kept open and little patience."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from messages.log.note import NoteKey
from messages.log.submission import Submission, format_submission, origin_hash

TIMEOUT_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 65_536
HEADERS: Final = {"User-Agent": "gridtally-hub", "Content-Type": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Peer:
    """A witness: its key, and the submission prefix where it is asked."""

    key: NoteKey
    url: str

    @property
    def name(self) -> str:
        """The name of its key."""
        return self.key.name


@dataclass(frozen=True, slots=True)
class Reply:
    """What a witness answered."""

    status: int
    kind: str
    body: str


class WitnessAway(Exception):
    """Nobody answered, or not in time, or not in HTTP; the text says which."""


class WitnessClient:
    """Owns the connection to one witness. For one thread."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._prefix = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def submit(self, submission: Submission) -> Reply:
        """Show a checkpoint; raises WitnessAway."""
        return self._ask("POST", "/add-checkpoint", format_submission(submission).encode())

    def newest(self, origin: str) -> Reply:
        """Ask which checkpoint of a log it cosigned last; raises WitnessAway."""
        return self._ask("GET", f"/{origin_hash(origin)}/checkpoint", None)

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, method: str, path: str, body: bytes | None) -> Reply:
        """Ask; a connection that lay idle may have been hung up, so once more on a new one."""
        was_open = self._connection is not None
        try:
            return self._ask_once(method, path, body)
        except (ConnectionError, http.client.RemoteDisconnected) as error:
            self.close()
            if not was_open:
                raise WitnessAway(_words(error)) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise WitnessAway(_words(error)) from error
        try:
            return self._ask_once(method, path, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise WitnessAway(_words(error)) from error

    def _ask_once(self, method: str, path: str, body: bytes | None) -> Reply:
        deadline_s = time.monotonic() + self._timeout_s
        connection = self._opened()
        connection.request(method, self._prefix + path, body, HEADERS)
        response = connection.getresponse()
        answer = bytearray()
        while chunk := response.read1(ANSWER_BYTES_MAX):
            answer += chunk
            if len(answer) > ANSWER_BYTES_MAX:
                raise ValueError("its answer is too long")
            if time.monotonic() > deadline_s:
                raise TimeoutError("its answer took too long")
        response.close()  # read1 leaves a whole response open, and the connection would wait for it
        if response.will_close:
            self.close()
        kind = response.headers.get_content_type()
        return Reply(response.status, kind, answer.decode())

    def _opened(self) -> http.client.HTTPConnection:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            self._connection = kind(self._host, self._port, timeout=self._timeout_s)
        return self._connection


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return str(error) if "too long" in str(error) else "does not answer in time"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return reason[:200]
