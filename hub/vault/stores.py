"""Where ciphertext of records lies: several stores behind one port, none of them trusted.

A blob's name is its SHA-256, so a store that loses or changes one is found out, and the next is
asked. Every blob is put into all stores; losing one store loses no record.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

from hub.core.state import State
from hub.errors import RecordUnavailable
from hub.vault.ipfs import IPFS, IpfsStore
from messages.records import RECORD_BYTES_MAX

FILE: Final = "file:"
NAME_CHARS: Final = 64
BLOB_BYTES_MAX: Final = RECORD_BYTES_MAX + 1_024

log = logging.getLogger("hub.vault")


class BlobStore(Protocol):
    """One place for blobs. A failure is an OSError; an absent blob is FileNotFoundError."""

    @property
    def place(self) -> str:
        """Where it is, as the configuration names it."""

    def put(self, name: str, blob: bytes) -> None:
        """Store a blob durably; the same again changes nothing."""

    def get(self, name: str) -> bytes:
        """Return a blob, whatever it is by now."""

    def delete(self, name: str) -> None:
        """Forget a blob; one that is not there is forgotten already."""


class FileStore:
    """A folder, on this machine or mounted from another."""

    def __init__(self, folder: Path, place: str = "") -> None:
        self.place = place or f"{FILE}{folder}"
        self._folder = folder

    def put(self, name: str, blob: bytes) -> None:
        """Write, sync, rename."""
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f"{name}.partial"
        with partial.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._folder / name)

    def get(self, name: str) -> bytes:
        """Read it whole."""
        return (self._folder / name).read_bytes()

    def delete(self, name: str) -> None:
        """Unlink it."""
        (self._folder / name).unlink(missing_ok=True)


class RemoteStore:
    """Whatever fsspec reaches: s3://bucket/path and others by their own packages."""

    def __init__(self, place: str, filesystem: Any, root: str) -> None:
        self.place = place
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    def put(self, name: str, blob: bytes) -> None:
        """Upload it."""
        with _as_os_error():
            self._filesystem.makedirs(self._root, exist_ok=True)
            self._filesystem.pipe_file(f"{self._root}/{name}", blob)

    def get(self, name: str) -> bytes:
        """Download it."""
        with _as_os_error():
            return bytes(self._filesystem.cat_file(f"{self._root}/{name}"))

    def delete(self, name: str) -> None:
        """Remove it."""
        with _as_os_error(), suppress(FileNotFoundError):
            self._filesystem.rm_file(f"{self._root}/{name}")


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Say every failure as OSError: each package behind fsspec raises classes of its own."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def open_store(place: str, folder: Path) -> BlobStore:
    """Return the store that the configuration names; a relative folder is below `folder`.

    Raises:
        RecordUnavailable: no such kind of store, or the package for it is not installed.
    """
    if place.startswith(FILE):
        return FileStore(folder / place.removeprefix(FILE), place)
    try:
        if place.startswith(IPFS):
            return IpfsStore(place)
        import fsspec  # noqa: PLC0415 - only remote stores need it

        filesystem, root = fsspec.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise RecordUnavailable(f"store {place}: {error} (pip install gridtally[stores])") from None
    return RemoteStore(place, filesystem, root)


class Stores:
    """All stores of an installation as one."""

    def __init__(self, stores: Sequence[BlobStore]) -> None:
        self._stores = tuple(stores)

    def put(self, name: str, blob: bytes) -> tuple[str, ...]:
        """Put a blob into every store; return the places that took it.

        Raises:
            RecordUnavailable: none did.
        """
        taken = []
        for store in self._stores:
            try:
                store.put(name, blob)
                taken.append(store.place)
            except OSError as error:
                log.error("store %s did not take %s: %s", store.place, name, error)
        if not taken:
            raise RecordUnavailable("no store took the record: see the log")
        return tuple(taken)

    def get(self, name: str) -> bytes:
        """Return a blob from the first store that has it whole, and mend those before it.

        Raises:
            RecordUnavailable: no store has it.
        """
        lacking: list[BlobStore] = []
        for store in self._stores:
            blob = _fetched(store, name)
            if blob is not None:
                for other in lacking:
                    _mend(other, name, blob)
                return blob
            lacking.append(store)
        raise RecordUnavailable(f"none of {len(self._stores)} stores has the blob {name}")

    def mend(self, name: str, elsewhere: Callable[[str], bytes] | None = None) -> tuple[str, ...]:
        """Put a blob into every store that lacks it or has other bytes; return those places.

        Args:
            name: the blob's.
            elsewhere: gives it whole if no store has it, or raises RecordUnavailable.

        Raises:
            RecordUnavailable: nobody has it, or a store does not take it.
        """
        found = [(store, _fetched(store, name)) for store in self._stores]
        lacking = [store for store, blob in found if blob is None]
        if not lacking:
            return ()
        whole = next((blob for _, blob in found if blob is not None), None)
        if whole is None and elsewhere is not None:
            whole = elsewhere(name)
        if whole is None:
            raise RecordUnavailable(f"none of {len(self._stores)} stores has the blob {name}")
        failed = [store.place for store in lacking if not _mend(store, name, whole)]
        if failed:
            raise RecordUnavailable(f"not mended in {', '.join(failed)}: see the log")
        return tuple(store.place for store in lacking)

    def delete(self, name: str) -> tuple[str, ...]:
        """Delete a blob everywhere; return the places that could not."""
        failed = []
        for store in self._stores:
            try:
                store.delete(name)
            except OSError as error:
                log.error("store %s did not delete %s: %s", store.place, name, error)
                failed.append(store.place)
        return tuple(failed)


def open_stores(places: Sequence[str], folder: str) -> Stores:
    """Return the stores that a configuration names; relative folders are below `folder`."""
    return Stores([open_store(place, Path(folder)) for place in places])


def is_name(text: str) -> bool:
    """Whether a text is the name of a blob: the SHA-256 of what it holds, in hex.

    >>> is_name("ab" * 32), is_name("AB" * 32), is_name("../keys")
    (True, False, False)
    """
    return len(text) == NAME_CHARS and all(char in "0123456789abcdef" for char in text)


def is_whole(blob: bytes, name: str) -> bool:
    """Whether a blob is what its name says."""
    return len(blob) <= BLOB_BYTES_MAX and hashlib.sha256(blob).hexdigest() == name


def _fetched(store: BlobStore, name: str) -> bytes | None:
    try:
        blob = store.get(name)
    except OSError as error:
        level = logging.DEBUG if isinstance(error, FileNotFoundError) else logging.WARNING
        log.log(level, "store %s lacks %s: %s", store.place, name, error)
        return None
    if not is_whole(blob, name):
        log.error("store %s has other bytes under %s", store.place, name)
        return None
    return blob


def _mend(store: BlobStore, name: str, blob: bytes) -> bool:
    try:
        store.put(name, blob)
    except OSError as error:
        log.warning("store %s cannot be mended: %s", store.place, error)
        return False
    log.warning("store %s lacked %s, and has it again", store.place, name)
    return True


def locators_of(name: str, places: Sequence[str]) -> str:
    """Return what the ledger says of where a blob lies: one locator a place, with a blank between.

    >>> blob_of(locators_of("ab" * 32, ["file:blobs", "s3://a/b"])) == "ab" * 32
    True
    """
    return " ".join(f"{place}/{name}" for place in places)


def blob_of(locators: str) -> str:
    """Return the name of the blob that locators are of."""
    return locators.rsplit("/", 1)[-1]


def names_of(state: State) -> tuple[set[str], set[str]]:
    """Return the names of the blobs that the ledger wants kept, and of those it wants gone."""
    rows = state.records.values()
    kept = {blob_of(row.locators) for row in rows if row.erased_index is None}
    return kept, {blob_of(row.locators) for row in rows if row.erased_index is not None} - kept
