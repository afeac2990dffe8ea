"""Five lives in a row that end too soon: metering only, until a life lasts or a person says so."""

import pytest

from edge.boots import (
    GOOD_MS,
    HOLD_MS,
    SHORT_BOOTS_MAX,
    UNREADABLE,
    Boots,
    boots_file,
    forget,
    read_short,
    short_lives,
    write_short,
)


class Bench:
    def __init__(self, folder):
        self.folder, self.now_ms = folder, 7_000

    def life(self, lasts_ms, *, program="guard", most=SHORT_BOOTS_MAX, killed=True):
        """Live so long; return why no relay may move at the start, and at the end."""
        boots = Boots(self.folder, program, most, lambda: self.now_ms)
        boots.__enter__()
        first = boots.look()
        self.now_ms += lasts_ms
        last = boots.look()
        if not killed:
            boots.__exit__(None, None, None)
        return first, last


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "state")


def test_the_sixth_life_after_five_short_ones_moves_no_relay(bench):
    for _ in range(SHORT_BOOTS_MAX):
        assert bench.life(GOOD_MS - 1) == ("", "")
    first, last = bench.life(GOOD_MS - 1)
    assert first == last
    assert first.startswith("metering only: 5 starts of the guard in a row ended within 60 s")
    assert "gridtally-edge relay allow" in first
    assert short_lives(bench.folder) == {"guard": 6}


def test_a_minute_makes_a_life_good(bench):
    for _ in range(SHORT_BOOTS_MAX - 1):
        bench.life(0)
    bench.life(GOOD_MS)
    assert short_lives(bench.folder) == {}
    for _ in range(SHORT_BOOTS_MAX):
        assert bench.life(0) == ("", "")
    assert bench.life(0)[0]


def test_metering_only_ends_after_five_minutes_and_not_before(bench):
    for _ in range(SHORT_BOOTS_MAX):
        bench.life(0)
    first, last = bench.life(HOLD_MS - 1)
    assert first
    assert last
    first, last = bench.life(HOLD_MS)
    assert first
    assert last == ""
    assert bench.life(0) == ("", "")


def test_a_life_that_ends_as_asked_counts_neither_way(bench):
    for _ in range(SHORT_BOOTS_MAX - 1):
        bench.life(0)
    for _ in range(10):
        bench.life(0, killed=False)
    assert short_lives(bench.folder) == {"guard": SHORT_BOOTS_MAX - 1}


def test_an_exception_is_a_short_life(bench):
    with pytest.raises(ValueError, match="pin"), Boots(bench.folder, "guard"):
        raise ValueError("no such pin")
    assert short_lives(bench.folder) == {"guard": 1}


def test_a_person_ends_it_while_it_runs(bench):
    for _ in range(SHORT_BOOTS_MAX):
        bench.life(0)
    boots = Boots(bench.folder, "guard", clock_ms=lambda: bench.now_ms)
    with boots:
        assert boots.look()
        assert forget(bench.folder) == {"guard": 6}
        assert boots.look() == ""
    assert short_lives(bench.folder) == {}
    assert forget(bench.folder) == {}


def test_agent_and_guard_are_counted_apart(bench):
    for _ in range(SHORT_BOOTS_MAX):
        bench.life(0, program="agent")
    assert bench.life(0, program="guard") == ("", "")
    assert "of the agent" in bench.life(0, program="agent")[0]


def test_without_a_limit_nothing_is_counted(bench):
    for _ in range(SHORT_BOOTS_MAX + 1):
        assert bench.life(0, most=0) == ("", "")
    assert not bench.folder.exists()


@pytest.mark.parametrize("content", ["", "many\n", "\0\0\0"])
def test_a_file_that_cannot_be_read_holds_relays(bench, content):
    write_short(boots_file(bench.folder, "guard"), 1)
    boots_file(bench.folder, "guard").write_text(content)
    assert read_short(boots_file(bench.folder, "guard")) == UNREADABLE
    assert "nobody knows how many starts" in bench.life(0)[0]


def test_a_folder_that_takes_no_file_is_no_reason_to_stop(bench, caplog):
    bench.folder.write_text("a file, where a folder is wanted")
    assert bench.life(0) == ("", "")
    assert "starts are not counted" in caplog.text
