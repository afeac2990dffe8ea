"""Each role that a microgrid has is named where people look for it, and exists in the program."""

from hub.core.rights import DEVICES
from messages.fuels import FUELS
from messages.membership import ROLES
from tests.support.source import ROOT

PAGE = (ROOT / "docs" / "roles.md").read_text()
WORDS = {
    "microgrid manager": "manager",
    "smart-grid administrator": "administrator",
    "regulator": "regulator",
    "base-load supplier": "supplier",
    "bank": "bank",
    "storage": "storage",
    "prosumer": "prosumer",
    "consumer": "consumer",
    "service": "service",
    "witness": "witness",
    "replica": "replica",
}


def test_each_role_of_a_microgrid_is_described_and_exists():
    table = [line for line in PAGE.splitlines() if line.startswith("| ") and line.count("|") == 3]
    for words, role in WORDS.items():
        assert role in (*ROLES, *DEVICES)
        assert any(role in line and words in line for line in table), words


def test_the_table_has_a_column_for_each_role():
    (head,) = [line for line in PAGE.splitlines() if line.startswith("| entry |")]
    columns = [each.strip() for each in head.strip("|").split("|")][1:]
    assert columns == [*DEVICES, *ROLES]


def test_each_fuel_is_named():
    for fuel in FUELS:
        assert fuel in PAGE
