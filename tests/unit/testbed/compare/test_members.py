"""The members file: what is read, all that is wrong with it at once, and who is made without."""

from pathlib import Path

import pytest

from testbed.compare.battery import Battery
from testbed.compare.comparing import example
from testbed.compare.members import (
    Member,
    every_third,
    plain_members,
    read_members,
    with_battery,
)
from testbed.errors import BadHomesFile

HEAD = (
    "home,group,area,x_m,y_m,fuel,pv,battery_kwh,battery_kw,battery_percent,"
    "bid_utok_per_kwh,ask_utok_per_kwh\n"
)


def file(folder: Path, text: str) -> Path:
    path = folder / "members.csv"
    path.write_text(text)
    return path


def test_every_cell_is_read(tmp_path: Path) -> None:
    text = HEAD + "B 2,single,north,-12,7,wind,off,5.5,2,90,250_000,90000\na,,,,,,,,,,,\n"
    assert read_members(file(tmp_path, text), ("a", "b-2")) == (
        Member("a"),
        Member(
            "b-2",
            "single",
            "north",
            -12,
            7,
            "wind",
            False,
            Battery(5_500_000_000, 2_000_000, 90),
            250_000,
            90_000,
        ),
    )


def test_a_battery_moves_at_half_its_capacity_unless_told(tmp_path: Path) -> None:
    (member,) = read_members(file(tmp_path, "home,battery_kwh\na,5\n"), ("a",))
    assert member.battery == Battery(5_000_000_000, 2_500_000, 95)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = (
        HEAD.replace("fuel", "fuels_")
        + "a,single,,1.5,,x,maybe,-1,,40,-3,\nzed,,,,,,,,,,,\nb,,,,,,,,,,,\nb,,,,,,,,,,,,9\n"
    )
    path = file(tmp_path, text)
    with pytest.raises(BadHomesFile) as raised:
        read_members(path, ("a", "b", "c"))
    assert [line.replace(str(path), "") for line in str(raised.value).splitlines()] == [
        ":1: column 'fuels_' is none of home, group, area, x_m, y_m, fuel, pv, battery_kwh, "
        "battery_kw, battery_percent, bid_utok_per_kwh, ask_utok_per_kwh",
        ":2: x_m is '1.5', wanted whole metres",
        ":2: pv is 'maybe', wanted on or off",
        ":2: battery_kwh is '-1', wanted kWh from 0 up",
        ":2: battery_percent is '40', wanted a whole number from 50 to 100",
        ":2: bid_utok_per_kwh is '-3', wanted a whole number of utok per kWh from 0 to 100000000",
        ":3: home 'zed' is not in the homes file",
        ":5: more cells than columns",
        ":5: home b stands here a second time",
        ": home c has no row",
    ]


def test_without_a_file_every_third_home_loses_its_pv() -> None:
    names = ("d", "a", "b", "c", "e", "f")
    assert every_third(names) == ("c", "f")
    made = plain_members(names, every_third(names))
    assert [(each.home, each.group, each.has_pv) for each in made] == [
        ("a", "prosumer", True),
        ("b", "prosumer", True),
        ("c", "consumer", False),
        ("d", "prosumer", True),
        ("e", "prosumer", True),
        ("f", "consumer", False),
    ]


def test_a_battery_for_all_spares_who_has_one_or_no_pv() -> None:
    given, own = Battery(2, 1), Battery(9, 9)
    members = (Member("a"), Member("b", battery=own), Member("c", has_pv=False))
    assert [each.battery for each in with_battery(members, given)] == [given, own, None]


def test_the_shipped_example_fits_the_shipped_homes(tmp_path: Path) -> None:
    homes = {line.split(",")[0] for line in example("homes.csv").splitlines()[1:]}
    found = read_members(file(tmp_path, example("members.csv")), sorted(homes))
    assert {each.group for each in found} == {"family", "single", "student"}
    assert any(each.battery for each in found)
