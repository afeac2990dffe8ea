"""The rule of the broker, cell by cell: node, hub, page."""

import pytest

from hub.joining.acl import mosquitto_acl
from testbed.acl import covers, may_publish, may_read

CASES = [
    # user, topic, may publish, may read
    ("dep1", "gridtally/m/dep1/up/register", True, False),
    ("dep1", "gridtally/m/dep1/down/lease", False, True),
    ("dep1", "gridtally/m/dep2/up/register", False, False),
    ("dep1", "gridtally/m/dep2/down/lease", False, False),
    ("dep1", "gridtally/other/dep1/up/register", False, False),
    ("dep1", "gridtally/m/+/down/lease", False, False),
    ("dep1", "gridtally/m/dep1/down/#", False, True),
    ("dep1", "gridtally/m/dep1/#", False, False),
    ("dep1", "gridtally/m/dep1/+/lease", False, False),
    ("dep1", "#", False, False),
    ("dep1", "+/+/+/+/+", False, False),
    ("dep1", "$SYS/broker/clients", False, False),
    ("dep1", "$share/g/gridtally/m/dep1/down/lease", False, False),
    ("dep1", "gridtally/m/dep1/up/#", False, False),
    ("hub", "gridtally/m/dep1/down/lease", True, False),
    ("hub", "gridtally/m/+/up/#", False, True),
    ("hub", "gridtally/m/+/up/register", False, True),
    ("hub", "gridtally/m/dep1/up/register", False, True),
    ("hub", "gridtally/+/+/up/#", False, False),
    ("hub", "#", False, False),
    ("web", "gridtally/m/+/up/#", False, True),
    ("web", "gridtally/m/+/down/#", False, True),
    ("web", "gridtally/m/dep1/down/lease", False, True),
    ("web", "gridtally/m/dep1/up/register", False, True),
]


@pytest.mark.parametrize(("user", "topic", "publish", "read"), CASES)
def test_each_cell(user: str, topic: str, publish: bool, read: bool) -> None:
    assert may_publish(user, topic, "m") is publish
    assert may_read(user, topic, "m") is read


def test_a_filter_is_covered_only_if_all_it_matches_is() -> None:
    assert covers("a/#", "a/b/c")
    assert covers("a/+/c", "a/+/c")
    assert not covers("a/+/c", "a/#")
    assert not covers("a/b", "a/+")
    assert not covers("a/+", "a/b/c")
    assert not covers("#", "/".join("x" * 9))


def test_mosquitto_gets_the_same_rule() -> None:
    assert mosquitto_acl("m", ["dep9", "hub"]).splitlines() == [
        "user hub",
        "topic write gridtally/m/+/down/#",
        "topic read gridtally/m/+/up/#",
        "topic deny gridtally/m/hub/#",
        "",
        "user web",
        "topic read gridtally/m/+/up/#",
        "topic read gridtally/m/+/down/#",
        "topic deny gridtally/m/web/#",
        "",
        "user dep9",
        "topic deny gridtally/m/dep9/#",
        "",
        "pattern write gridtally/m/%u/up/#",
        "pattern read gridtally/m/%u/down/#",
    ]
