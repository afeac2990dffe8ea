"""Replicas keep ciphertext by its hash: losing one store, or all of the hub's, loses no record."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from hub.core.state import State
from hub.errors import RecordUnavailable
from hub.replica.ciphertext import AT_ONCE, LOOK_OVER_S, Ciphertext, Elsewhere
from hub.vault.desk import read_state
from hub.vault.stores import FileStore, Stores, blob_of
from tests.support.served_log import ServedLog, sources
from tests.support.vault_bench import Community

SECRET = b"ann owes nobody anything but 12.34" * 3


def stores_of(here: Community) -> Stores:
    return Stores([FileStore(here.one), FileStore(here.two)])


class Followed:
    """The state that a replica came to, as far as this asks."""

    def __init__(self, state: State) -> None:
        self.state = state

    @property
    def execution(self) -> Followed:
        return self


@pytest.fixture
def here(tmp_path: Path) -> Community:
    return Community(tmp_path / "hub")


class Bench:
    """A replica's stores beside a hub with records; its page serves what its stores have."""

    def __init__(self, here: Community, folder: Path) -> None:
        self.here = here
        self.followed = Followed(State())
        self.page = ServedLog([])
        self.now_s = 0.0
        self.folders = [folder / "a", folder / "b"]
        self.stores = Stores([FileStore(path) for path in self.folders])
        self.kept = Ciphertext(
            self.stores,
            self.followed,  # type: ignore[arg-type]
            sources(self.page),
            lambda: self.now_s,
        )

    def tend(self) -> None:
        """Let the hub's page serve what the hub's stores have now, and the replica look."""
        self.followed.state = read_state(self.here.config)
        own = stores_of(self.here)
        self.page.extras.clear()
        for row in self.followed.state.records.values():
            name = blob_of(row.locators)
            with suppress(RecordUnavailable):
                self.page.extras[f"blob/{name}"] = own.get(name)
        self.kept.tend()

    def files(self) -> list[set[str]]:
        return [
            {path.name for path in folder.iterdir()} if folder.exists() else set()
            for folder in self.folders
        ]


@pytest.fixture
def bench(here: Community, tmp_path: Path) -> Bench:
    return Bench(here, tmp_path / "replica")


def test_every_record_is_kept_in_every_store_and_fetched_once(
    here: Community, bench: Bench
) -> None:
    for _ in range(3):
        here.desk("ann").put(SECRET, "bill", "")
    bench.tend()
    names = {path.name for path in here.one.iterdir()}
    assert bench.files() == [names, names]
    asked = len(bench.page.asked)
    bench.tend()
    assert len(bench.page.asked) == asked == 3
    assert not any(SECRET[:20] in (bench.folders[0] / name).read_bytes() for name in names)


def test_all_stores_of_the_hub_lost_no_record_is_lost(here: Community, bench: Bench) -> None:
    record = here.desk("ann").put(SECRET, "bill", "")
    bench.tend()
    shutil.rmtree(here.one)
    shutil.rmtree(here.two)
    with pytest.raises(RecordUnavailable):
        here.desk("ann").get(record)
    replica = ServedLog([])
    (name,) = bench.files()[0]
    blob = bench.kept.find(name)
    assert blob is not None
    replica.extras[f"blob/{name}"] = blob
    replica.spoil = lambda path, raw: raw[:-1] + b"x"
    own, asked = stores_of(here), Elsewhere(sources(replica))
    with pytest.raises(RecordUnavailable, match="other bytes"):
        own.mend(name, asked)
    assert not list(here.one.glob("*"))
    replica.spoil = lambda path, raw: raw
    assert len(own.mend(name, asked)) == 2
    assert here.desk("ann").get(record) == SECRET
    assert own.mend(name, asked) == ()


def test_what_nobody_has_is_counted_and_said(here: Community, bench: Bench) -> None:
    here.desk("ann").put(SECRET, "bill", "")
    (name,) = (path.name for path in here.one.iterdir())
    shutil.rmtree(here.one)
    shutil.rmtree(here.two)
    bench.tend()
    assert bench.kept.lacking == 1
    with pytest.raises(RecordUnavailable, match=f"blob/{name}: 404"):
        stores_of(here).mend(name, Elsewhere(sources(ServedLog([]))))


def test_a_source_that_gives_other_bytes_is_not_believed(here: Community, bench: Bench) -> None:
    here.desk("ann").put(SECRET, "bill", "")
    bench.page.spoil = lambda path, raw: raw + b"x" if path.startswith("blob/") else raw
    bench.tend()
    assert bench.files() == [set(), set()]
    assert bench.kept.lacking == 1
    bench.page.spoil = lambda path, raw: raw
    bench.tend()
    assert bench.files() == [set(), set()]  # it asks again later
    bench.now_s += 61
    bench.tend()
    assert [len(files) for files in bench.files()] == [1, 1]
    assert bench.kept.lacking == 0


def test_what_its_owner_erased_is_deleted_here_too(here: Community, bench: Bench) -> None:
    record, _ = (here.desk("ann").put(SECRET, "bill", "") for _ in range(2))
    bench.tend()
    here.desk("ann").erase(record)
    bench.tend()
    left = {path.name for path in here.one.iterdir()}
    assert len(left) == 1
    assert bench.files() == [left, left]


def test_a_store_of_the_replica_that_lost_or_changed_something_is_mended_within_a_day(
    here: Community, bench: Bench
) -> None:
    here.desk("ann").put(SECRET, "bill", "")
    bench.tend()
    (name,) = bench.files()[0]
    (bench.folders[0] / name).write_bytes(b"spoilt")
    shutil.rmtree(bench.folders[1])
    bench.tend()
    assert bench.files()[1] == set()  # it looks over what it had no more often than that
    bench.now_s += LOOK_OVER_S
    bench.tend()
    assert bench.files() == [{name}, {name}]
    assert bench.kept.find(name) is not None


def test_one_of_two_stores_is_mended_from_the_other_alone(here: Community, bench: Bench) -> None:
    here.desk("ann").put(SECRET, "bill", "")
    bench.tend()
    asked = len(bench.page.asked)
    shutil.rmtree(bench.folders[0])
    bench.now_s += LOOK_OVER_S
    bench.tend()
    assert [len(files) for files in bench.files()] == [1, 1]
    assert len(bench.page.asked) == asked


def test_only_names_of_blobs_are_looked_for(bench: Bench) -> None:
    for name in ("", "..", "../../keys/hub.pem", "AB" * 32, "ab" * 31):
        assert bench.kept.find(name) is None


def test_many_come_some_at_a_time(here: Community, bench: Bench) -> None:
    for number in range(AT_ONCE + 1):
        here.desk("ann").put(b"%d" % number, "bill", "")
    bench.tend()
    assert len(bench.files()[0]) == AT_ONCE
    bench.tend()
    assert len(bench.files()[0]) == AT_ONCE + 1
