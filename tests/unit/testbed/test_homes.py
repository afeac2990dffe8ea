"""Files of measured homes: what is read, and the sentence for each way they are wrong."""

import gzip
from pathlib import Path

import pytest

from testbed.errors import BadHomesFile
from testbed.homes import read_homes

HEADER = "home,slot,day,minute,interval_min,consumption_kwh,generation_kwh,pv_kw\n"
GOOD = HEADER + "h01,0,1,0,60,0.8512,0.0,4.0\nh01,1,1,60,60,1.0,0.000000001,4.0\n"


def file(folder: Path, text: str) -> Path:
    path = folder / "homes.csv"
    path.write_text(text)
    return path


def test_energies_are_read_exactly(tmp_path: Path) -> None:
    homes = read_homes(file(tmp_path, GOOD))
    assert (homes.slots, homes.slot_ms) == (2, 3_600_000)
    assert homes.homes[0].name == "h01"
    assert homes.homes[0].consumption_uwh == [851_200_000, 1_000_000_000]
    assert homes.homes[0].generation_uwh == [0, 1]


def test_a_gzip_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "homes.data"
    path.write_bytes(gzip.compress(GOOD.encode()))
    assert read_homes(path) == read_homes(file(tmp_path, GOOD))


def test_rows_may_be_sorted_by_slot(tmp_path: Path) -> None:
    rows = "a,0,1,0,60,1,0,4\nb,0,1,0,60,2,0,4\na,1,1,60,60,3,0,4\nb,1,1,60,60,4,0,4\n"
    homes = read_homes(file(tmp_path, HEADER + rows))
    assert [home.consumption_uwh for home in homes.homes] == [
        [1_000_000_000, 3_000_000_000],
        [2_000_000_000, 4_000_000_000],
    ]


def test_names_become_topic_names(tmp_path: Path) -> None:
    homes = read_homes(file(tmp_path, HEADER + "Building_1,0,1,0,60,1,0,4\n"))
    assert homes.homes[0].name == "building-1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEADER.replace("consumption_kwh,", ""), ":1: column consumption_kwh is missing"),
        ("", ":1: column home, slot, interval_min, consumption_kwh, generation_kwh is missing"),
        (HEADER, ": no home in it, only the header line"),
        (GOOD.replace("0.8512", "-0.8512"), ":2: consumption_kwh is -0.8512, wanted kWh of 0 or"),
        (GOOD.replace("0.8512", "nan"), ":2: consumption_kwh is nan, wanted kWh of 0 or more"),
        (GOOD.replace("0.8512", "lots"), ":2: consumption_kwh is 'lots', wanted kWh as a number"),
        (GOOD.replace("h01,1", "h01,2"), ":3: gap: home h01 has slot 2 here, not 1"),
        (GOOD.replace("h01,1", "h01,0"), ":3: gap: home h01 has slot 0 here, not 1"),
        (GOOD.replace("h01,0", "h01,x"), ":2: slot is 'x', wanted a whole number from 0 up"),
        (GOOD.replace("h01,1,1,60,60", "h01,1,1,60,15"), ":3: interval_min differs from 60"),
        (GOOD.replace(",60,", ",7,"), ":2: interval_min is 7, wanted minutes that divide a day"),
        (GOOD + "h02,0,1,0,60,1,0,4\n", ": gap: home h02 ends after 1 slots, others have 2"),
        (GOOD.replace("h01", "---"), ":2: home is '---', wanted 1 to 20 letters or digits"),
        (GOOD.replace("h01", "h 1") + GOOD.replace("h01", "h-1")[len(HEADER) :], "both be called"),
        (GOOD[:-20], ":3: consumption_kwh is '', wanted kWh as a number"),
        (GOOD.replace("0.8512", "1e99999"), ":2: consumption_kwh is 1e99999, wanted at most a mil"),
        (GOOD.replace(",60,60,", ",45,60,"), ":3: minute is 45, slot 1 begins at 60"),
        (GOOD.replace(",0,60,", ",1440,60,"), ":2: minute is 1440, wanted a minute of the day"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    path = file(tmp_path, text)
    with pytest.raises(BadHomesFile) as raised:
        read_homes(path)
    message = str(raised.value)
    assert [line for line in message.splitlines() if not line.startswith(str(path))] == []
    assert says in message


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    rows = "a,0,1,0,60,x,-1,4\na,1,1,60,60,3,0,4\na,2,1,120,60,nan,0,4\na,4,1,240,60,1,0,4\n"
    path = file(tmp_path, HEADER + rows)
    with pytest.raises(BadHomesFile) as raised:
        read_homes(path)
    assert str(raised.value).splitlines() == [
        f"{path}:2: consumption_kwh is 'x', wanted kWh as a number",
        f"{path}:2: generation_kwh is -1, wanted kWh of 0 or more",
        f"{path}:4: consumption_kwh is nan, wanted kWh of 0 or more",
        f"{path}:5: gap: home a has slot 4 here, not 3",
    ]


def test_a_bad_first_row_is_no_gap_as_well(tmp_path: Path) -> None:
    text = (
        HEADER
        + "a,3,1,180,60,much,0,4\na,4,1,240,60,1,0,4\nb,3,1,180,60,1,0,4\nb,4,1,240,60,1,0,4\n"
    )
    path = file(tmp_path, text)
    with pytest.raises(BadHomesFile) as raised:
        read_homes(path)
    assert str(raised.value) == f"{path}:2: consumption_kwh is 'much', wanted kWh as a number"


def test_very_many_findings_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"a,{slot},1,{slot * 60 % 1440},60,x,0,4\n" for slot in range(60))
    with pytest.raises(BadHomesFile) as raised:
        read_homes(file(tmp_path, HEADER + rows))
    assert str(raised.value).splitlines()[-1] == "and 10 more"


def test_the_first_minute_is_the_file_s(tmp_path: Path) -> None:
    rows = "a,7,1,1380,60,1,0,4\na,8,2,0,60,1,0,4\n"
    assert read_homes(file(tmp_path, HEADER + rows)).start_minute == 1380
    without = "home,slot,interval_min,consumption_kwh,generation_kwh\na,7,60,1,0\n"
    assert read_homes(file(tmp_path, without)).start_minute == 0


def test_a_missing_file_and_a_cut_archive_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(BadHomesFile, match=r"nowhere\.csv: cannot be read"):
        read_homes(tmp_path / "nowhere.csv")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(GOOD.encode())[:-20])
    with pytest.raises(BadHomesFile, match=r"cut\.csv\.gz: cannot be read"):
        read_homes(cut)
