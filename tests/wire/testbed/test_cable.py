"""A cable that can be cut: everything goes through, nothing, and everything again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from testbed.errors import Unplayable
from testbed.faults.cable import Cable, lay
from tests.support.edge_node import wait_until


class Echo:
    """A far end that says everything back, and counts what it heard."""

    def __init__(self) -> None:
        self.heard = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._links: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        for link in (*self._links, self._listener):
            link.close()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self._links.append(link)
            threading.Thread(target=self._echo, args=(link,), daemon=True).start()

    def _echo(self, link: socket.socket) -> None:
        try:
            while chunk := link.recv(1024):
                self.heard += len(chunk)
                link.sendall(chunk)
        except OSError:
            return


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as echo:
        yield echo


def connected(cable: Cable) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", cable.port), 5)
    link.settimeout(5)
    return link


def test_a_cable_carries_both_ways(echo: Echo) -> None:
    with Cable(echo.port) as cable, connected(cable) as link:
        link.sendall(b"there and back")
        assert link.recv(100) == b"there and back"


def test_a_cut_cable_swallows_both_ways_and_closes_nothing(echo: Echo) -> None:
    with Cable(echo.port) as cable, connected(cable) as link:
        link.sendall(b"x")
        assert link.recv(100) == b"x"
        cable.cut()
        link.sendall(b"lost")
        wait_until(lambda: cable.swallowed_bytes == 4, 5, "it is swallowed")
        link.settimeout(0.2)
        with pytest.raises(TimeoutError):
            link.recv(100)
        assert echo.heard == 1
        with connected(cable) as other:
            other.sendall(b"lost, too")
            wait_until(lambda: cable.swallowed_bytes == 13, 5, "a new connection is as dead")


def test_a_mended_cable_hangs_up_on_the_old_and_carries_the_new(echo: Echo) -> None:
    with Cable(echo.port) as cable, connected(cable) as link:
        cable.cut()
        cable.mend()
        assert link.recv(100) == b""
        with connected(cable) as other:
            other.sendall(b"again")
            assert other.recv(100) == b"again"


def test_without_a_far_end_it_hangs_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with Cable(port) as cable, connected(cable) as link:
        assert link.recv(100) == b""


def test_a_node_is_led_through_it(echo: Echo, tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('[broker]\nhost = "127.0.0.1"\nport = 1883\npassword_file = "a"\n')
    with Cable(echo.port) as cable:
        lay(cable, 1883, file)
        assert f"\nport = {cable.port}\n" in file.read_text()
        with pytest.raises(Unplayable, match="no broker at port 1883"):
            lay(cable, 1883, file)
