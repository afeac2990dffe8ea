"""The web process against who means it ill: wrong paths, numbers, headers, bodies, slow clients."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.vault_bench import Community
from tests.support.witness_process import ROOT, free_port

START_WITHIN_S = 40.0
INDEXED = (
    "/api/v1/ledger/entries/{}",
    "/api/v1/ledger/proofs/{}",
    "/proof/{}.tlog-proof",
    "/snapshot/{}",
    "/opening/{}",
)
CALLS = ("/api/v1/requests/{}", "/api/v1/answers/{}")
TILES = ("/tile/{}", "/tile/entries/{}")


class Web:
    """`gridtally-hub web` over a small ledger. There is no hub and no broker beside it."""

    def __init__(self, folder: Path) -> None:
        Community(folder)
        self.port = free_port()
        toml = folder / "hub.toml"
        text = toml.read_text()
        assert "port = 8088" in text
        toml.write_text(text.replace("port = 8088", f"port = {self.port}"))
        self.log = folder / "web.log"
        line = [sys.executable, "-m", "hub.cli", "web", "--config", str(toml)]
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(line, cwd=ROOT, stderr=file, stdout=file)
        deadline_s = time.monotonic() + START_WITHIN_S
        while not self._is_up():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline_s, self.log.read_text()
            time.sleep(0.05)

    def _is_up(self) -> bool:
        try:
            return self.ask("GET", "/checkpoint")[0] == 200
        except OSError:
            return False

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Return status and body of one request; its path is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value.encode("latin-1"))
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    found = Web(tmp_path_factory.mktemp("web"))
    yield found
    found.process.terminate()
    assert found.process.wait(20) == 0
    assert "Traceback" not in found.log.read_text()


def test_paths_and_methods_that_are_none_are_said_to_be_none(web: Web) -> None:
    for path in ("/api", "/api/v1/", "/api/v2/picture", "/tiles/0/000", "/keys/log.pem", "//", "*"):
        assert web.ask("GET", path)[0] == 404, path
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"):
        for path in ("/", "/checkpoint", "/tile/0/000", "/metrics", "/api/v1/picture"):
            assert web.ask(method, path)[0] == 405, (method, path)
    assert web.ask("GET", "/api/v1/requests")[0] == 405
    assert web.ask("GET", "/propose")[0] == 405
    for path in ("/", "/checkpoint", "/api/v1/picture", "/docs", "/static/gridtally.css"):
        status, body = web.ask("GET", path)
        assert status == 200
        assert body
        assert web.ask("HEAD", path) == (200, b"")


@pytest.mark.parametrize("pattern", [*INDEXED, *CALLS, *TILES, "/static/{}", "/{}"])
def test_no_path_leads_out_of_what_is_served(web: Web, pattern: str) -> None:
    for part in (
        "..",
        "../hub.toml",
        "../../keys/log.pem",
        "%2e%2e/%2e%2e/keys/log.pem",
        "..%2f..%2f..%2fetc%2fpasswd",
        "....//....//etc/passwd",
        "..\\..\\keys\\log.pem",
        "/etc/passwd",
        "%00",
        "1%00",
        "%c0%ae%c0%ae/",
        "%ff",
        "%0d%0aSet-Cookie:x",
        "0//000",
        "0/000/",
        "0/00",
        "64/000",
        "-1/000",
        "0/000.p/0",
        "0/000.p/257",
        "0/" + "x999/" * 300 + "999",
    ):
        status, body = web.ask("GET", pattern.format(part))
        assert status in {400, 401, 404, 405, 422}, (pattern, part, status)
        assert b"PRIVATE" not in body
        assert b"root:" not in body


@pytest.mark.parametrize("pattern", [*INDEXED, *CALLS, *TILES, "/api/v1/slots?limit={}"])
def test_no_number_is_too_odd_to_be_refused(web: Web, pattern: str) -> None:
    for number in ("-1", "0x1", "1e3", str(2**31 - 1), str(2**63 - 1), str(2**63), "9" * 4_000):
        status, _ = web.ask("GET", pattern.format(number))
        assert status in {401, 403, 404, 422}, (pattern, number[:20], status)


@pytest.mark.parametrize(
    ("header", "paths"),
    [
        ("Authorization", ("/api/v1/picture", "/api/v1/slots?limit=24", CALLS[0].format("a" * 32))),
        ("Gridtally_Request", ("/opening/0",)),
    ],
)
def test_headers_that_say_nothing_are_refused(web: Web, header: str, paths: list[str]) -> None:
    for text in ("x", "====", "\xff", "A" * 2_000, "gYGB" * 500, "0oRDoQEnoEBA", "\x7f", "{}"):
        value = f"Gridtally {text}" if header == "Authorization" else text
        for path in paths:
            assert web.ask("GET", path, **{header: value})[0] in {401, 403}, (path, text[:9])
    assert web.ask("GET", "/api/v1/picture", X="y" * 100_000)[0] in {400, 431}


@pytest.mark.parametrize("path", ["/api/v1/requests", "/propose"])
def test_bodies_that_are_no_message_are_refused(web: Web, path: str) -> None:
    for body in (
        b"",
        b"\xd2",
        b"\xd2" + b"\x84" * 4_000,
        b"\x81" * 4_096,
        b"\x9f" * 4_096,
        b"\x9b" + b"\xff" * 8,
        b"\x5b" + b"\xff" * 8,
        bytes.fromhex("d28443a10127a04040"),
    ):
        assert web.ask("POST", path, body)[0] == 400, body[:9]
    assert web.ask("POST", path, bytes(4_097))[0] == 413
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000000\r\n\r\n"
        client.sendall(head.encode() + bytes(5_000))
        assert client.recv(64).startswith(b"HTTP/1.1 413 ")


def test_slow_and_silent_clients_are_hung_up_on_and_keep_nobody_waiting(web: Web) -> None:
    slow = [socket.create_connection(("127.0.0.1", web.port), timeout=40) for _ in range(40)]
    for client in slow[20:]:
        client.sendall(b"GET /checkpoint HTTP/1.1\r\nHost: h\r\nX: ")
    assert web.ask("GET", "/checkpoint")[0] == 200
    for client in slow:
        assert b"200" not in client.recv(64)  # until the server hangs up
        client.close()
