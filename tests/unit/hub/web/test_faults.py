"""The switchboard's page: who may switch, what it leaves out, and what it says was noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException
from starlette.requests import Request

from hub.web.faults import require_own_page, what_is_noticed
from hub.web.view import Picture
from tests.support.pictures import LEDGER, member, meter, picture, relay

JSON = {"content-type": "application/json"}


def request(**headers: str) -> Request:
    named = {"host": "127.0.0.1:8088", **JSON, **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    return Request({"type": "http", "method": "POST", "path": "/api/v1/faults", "headers": raw})


@pytest.mark.parametrize("host", ["127.0.0.1:8088", "localhost:9999", "[::1]:8088", "127.0.0.1"])
def test_the_page_itself_may_switch_under_every_name_of_this_machine(host: str) -> None:
    require_own_page(request(host=host, origin=f"http://{host}"))


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8088", ""),
        ("127.0.0.1:8088", "null"),
        ("127.0.0.1:8088", "http://evil.example"),
        ("127.0.0.1:8088", "https://127.0.0.1:8088"),
        ("127.0.0.1:8088", "http://127.0.0.1:8089"),  # another program on this machine
        ("127.0.0.1:8088", "http://127.0.0.1:8088.evil.example"),
        ("evil.example:8088", "http://evil.example:8088"),  # a foreign name that leads here
        ("127.0.0.1.evil.example", "http://127.0.0.1.evil.example"),
        ("[", "http://["),
        ("", "http://"),
    ],
)
def test_another_site_may_not(host: str, origin: str) -> None:
    headers = {"origin": origin} if origin else {}
    with pytest.raises(HTTPException) as refused:
        require_own_page(request(host=host, **headers))
    assert refused.value.status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_form_can_send_is_refused(kind: str) -> None:
    asked = request(origin="http://127.0.0.1:8088", content_type=kind)
    asked.scope["headers"] = [
        pair for pair in asked.scope["headers"] if pair != (b"content-type", b"application/json")
    ]
    with pytest.raises(HTTPException) as refused:
        require_own_page(Request(asked.scope))
    assert refused.value.status_code == 415


def silent(found: Picture, name: str) -> Picture:
    return replace(found, members=(replace(found.members[0], meters=(meter(name, None),)),))


NOTICED: list[tuple[Callable[[], Picture], list[tuple[str, str]]]] = [
    (picture, []),
    (lambda: picture(alarms=("look there",)), [("alarm", "look there")]),
    (
        lambda: picture(ledger=replace(LEDGER, finding="entry 7 was changed")),
        [("alarm", "ledger NOT VERIFIED: entry 7 was changed")],
    ),
    (
        lambda: picture(refused={"malformed": 2, "bad-signature": 1}),
        [
            ("doubt", "refused messages, bad-signature: 1"),
            ("doubt", "refused messages, malformed: 2"),
        ],
    ),
    (
        lambda: picture(unaccounted_mw=1_500),
        [("fact", "unaccounted, all meters together: 1.5 W")],
    ),
    (
        lambda: picture(member("dep2", None)),
        [("alarm", "node dep2: all 1 meters silent")],
    ),
    (
        lambda: picture(
            member("dep2", 5, meters=(meter("a", 5), replace(meter("b", 5), badge="late")))
        ),
        [("doubt", "node dep2: b late")],
    ),
    (
        lambda: picture(member("dep2", 5, meters=(replace(meter("a", 5), quality="frozen"),))),
        [("doubt", "meter a says of its value: frozen")],
    ),
    (
        lambda: picture(member("dep2", 5, meters=(replace(meter("a", 5), power_mw=None),))),
        [("doubt", "meter a has no value")],
    ),
    (
        lambda: picture(member("dep2", 5, relays=(relay("heater", fed=False),))),
        [("fact", "heater keeps heater-meter cut: deficit 40.0 W")],
    ),
    (lambda: picture(boundary=replace(meter("tie", 5), member="")), []),
]


@pytest.mark.parametrize(("made", "expected"), NOTICED)
def test_what_the_system_says_of_itself(made: Callable[[], Picture], expected: Any) -> None:
    assert list(what_is_noticed(made())) == expected


def test_every_text_is_set_as_text() -> None:
    static = Path(__file__).parents[4] / "hub" / "web" / "static"
    script = (static / "faults.js").read_text()
    assert "textContent" in script
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("):
        assert word not in script
    for page in ("faults.html", "faults.js", "faults.css"):
        assert "//" not in (static / page).read_text().replace("// ", "")
