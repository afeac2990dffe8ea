from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from messages.config import Finding, name_complaint, read, rest, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    name: str = setting(check=name_complaint, says="a word of your own for it")
    kind: str = setting(default="i2c", choices=("i2c", "modbus_tcp"))
    port: int = setting(default=502, low=1, high=65_535)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    ca: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    tls: Tls | None = None
    loud: bool = False
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    sample_ms: int = setting(low=100)
    broker: Broker = Broker()
    bus: tuple[Bus, ...] = ()


def told(text):
    return [each.text("a.toml") for each in read(text, Config).findings]


def test_a_good_file_becomes_the_schema():
    document = read(
        """
        sample_ms = 1_000
        [broker]
        tls = { ca = "ca.pem" }
        ports = [
            1883,  # a comment with a ]
            8883,
        ]
        [[bus]]
        name = "i2c1"
        [[bus]]
        name = "rs485"
        kind = "modbus_tcp"
        port = 1502
        """,
        Config,
    )
    assert document.findings == ()
    assert document.value == Config(
        sample_ms=1000,
        broker=Broker(tls=Tls(ca="ca.pem"), ports=(1883, 8883)),
        bus=(Bus(name="i2c1"), Bus(name="rs485", kind="modbus_tcp", port=1502)),
    )


def test_all_findings_at_once_in_order_of_lines():
    text = """sampel_ms = 1
[broker]
loud = "yes"
tls = "ca.pem"
ports = [1, "2"]
[[bus]]
kind = "i2x"
port = 0
[[bus]]
name = "B 1"
port = "502"
[[bus]]
name = "ok"
port = 1.5
[extra]
"""
    assert told(text) == [
        'a.toml:1: unknown key "sampel_ms": did you mean "sample_ms"?',
        'a.toml:3: broker: loud must be true or false, got the text "yes"',
        'a.toml:4: broker: tls must be a table, got the text "ca.pem"',
        'a.toml:5: broker: ports 2 must be a whole number, got the text "2"; take off the quotes',
        'a.toml:6: bus 1 (i2x): missing key "name": a word of your own for it',
        'a.toml:7: bus 1 (i2x): kind: "i2x" is none of "i2c", "modbus_tcp"; did you mean "i2c"?',
        "a.toml:8: bus 1 (i2x): port: 0 is below 1",
        'a.toml:10: bus 2 (B 1): name: "B 1": a name has 1 to 32 of a-z, 0-9 and "-"'
        ' and begins with no "-"',
        'a.toml:11: bus 2 (B 1): port must be a whole number, got the text "502";'
        " take off the quotes",
        "a.toml:14: bus 3 (ok): port must be a whole number, got 1.5",
        'a.toml:15: unknown key "extra"',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample = 1", 'unknown key "sample": it has no unit; did you mean "sample_ms"?'),
        ("", 'missing key "sample_ms"'),
        ("sample_ms = true", "sample_ms must be a whole number, got true"),
        ("sample_ms = [1]", "sample_ms must be a whole number, got an array"),
        ("sample_ms = {}", "sample_ms must be a whole number, got a table"),
        ("sample_ms = 99", "sample_ms: 99 is below 100"),
        ("sample_ms = 1000\nbus = 3", "bus must be [[bus]] tables, got 3"),
        ("sample_ms = 1000\nbus = [3]", "bus 1 must be a table, got 3"),
        ("sample_ms = 1000\nbroker.ports = 3", "broker: ports must be an array, got 3"),
        (
            "sample_ms = 1000\nbus = [{name='a', port=70000}]",
            "bus 1 (a): port: 70000 is above 65535",
        ),
    ],
)
def test_each_fault_has_its_sentence(text, message):
    document = read(text, Config)
    assert document.value is None
    assert [each.message for each in document.findings] == [message]


def test_broken_syntax_is_told_with_its_line():
    (finding,) = read("sample_ms = 1000\n[broker\n", Config).findings
    assert finding.line == 2
    assert finding.message.startswith("not valid TOML: ")
    (finding,) = read('a = 1\nb = """', Config).findings
    assert finding.line == 2


def test_a_taken_key_is_not_proposed_again():
    assert told("sample_ms = 1000\nsample_m = 1\n") == ['a.toml:2: unknown key "sample_m"']


def test_lines_survive_strings_that_look_like_toml():
    document = read(
        '\n# [[bus]]\nsample_ms = 1000\n[broker]\n"tls"."ca" = """\n[[bus]]\nname = "no"\n"""\n'
        "ports = [1,\n 2]\nloud = true # [x]\n[[bus]]\nname = 'a # b'\n",
        Config,
    )
    assert document.line(("broker", "tls", "ca")) == 5
    assert document.line(("broker", "ports", 1)) == 9
    assert document.line(("broker", "loud")) == 11
    assert document.line(("bus", 0, "name")) == 13
    assert document.line(("bus", 0, "nothing")) == 12
    assert document.line(("nothing",)) == 0


def test_a_table_under_an_array_belongs_to_its_newest_item():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Inner:
        a: int

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Outer:
        inner: Inner

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Root:
        outer: tuple[Outer, ...]

    globals().update(Inner=Inner, Outer=Outer, Root=Root)
    document = read("[[outer]]\n[outer.inner]\na = 1\n[[outer]]\n[outer.inner]\na = ''\n", Root)
    assert [each.text("f") for each in document.findings] == [
        'f:6: outer 2.inner: a must be a whole number, got the text ""'
    ]


def test_rules_between_tables_are_added_by_the_caller():
    document = read('sample_ms = 1000\n[[bus]]\nname = "a"\n[[bus]]\nname = "a"\n', Config)
    assert document.value is not None
    found = document.values("bus", "*", "name")
    assert found == ((("bus", 0, "name"), "a"), (("bus", 1, "name"), "a"))
    after = document.with_findings([document.finding(found[1][0], "the name is taken")])
    assert after.value is None
    assert after.findings == (Finding(5, "bus 2 (a): the name is taken"),)
    assert document.values("nothing", "*", "name") == ()
    assert document.with_findings([]).value == document.value


def test_a_finding_without_a_line_names_the_file_alone():
    assert Finding(0, "is empty").text("a.toml") == "a.toml: is empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    model: str
    rated_w: int
    options: Mapping[str, object] = rest(
        lambda table: {"ina219": ("shunt_mohm", "model")}.get(table.get("model"), ())
    )


def test_the_rest_goes_unchecked_to_who_knows_it():
    document = read('model = "ina219"\nshunt_mohm = "x"\nrated_w = 1\n', Device)
    assert document.value == Device(model="ina219", rated_w=1, options={"shunt_mohm": "x"})
    document = read('model = "ina219"\nshunt = 100\nrated_w = 1\n', Device)
    assert [each.text("f") for each in document.findings] == [
        'f:2: unknown key "shunt": it has no unit; did you mean "shunt_mohm"?'
    ]
    document = read('model = "other"\nshunt_mohm = 100\nrated_w = 1\noptions = 1\n', Device)
    assert [each.text("f") for each in document.findings] == [
        'f:2: unknown key "shunt_mohm"',
        'f:4: unknown key "options"',
    ]
