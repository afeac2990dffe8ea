"""hub.toml is strict: everything wrong with it is said at once, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.config import EXAMPLE, BrokerSettings, KeyFiles, load_config
from hub.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hub.toml"
    path.write_text(text, encoding="utf-8")
    return path


def findings(tmp_path: Path, text: str) -> list[str]:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    return [line.removeprefix(str(path) + ":") for line in raised.value.findings]


def test_the_example_loads_and_its_paths_are_absolute(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, EXAMPLE))
    assert config.microgrid == "bench"
    assert config.trust == str(tmp_path / "trust.toml")
    assert config.state == str(tmp_path)
    assert config.database == f"sqlite:///{tmp_path}/ledger.db"
    assert config.keys == KeyFiles(
        log=str(tmp_path / "keys/log.pem"),
        hub=str(tmp_path / "keys/hub.pem"),
        administrator=str(tmp_path / "keys/administrator.pem"),
    )
    assert config.broker == BrokerSettings(password_file=str(tmp_path / "hub.password"))
    assert config.slots.backlog_wait_ms == 600_000
    assert config.dispatch.lease_ttl_ms == 5_000
    assert config.web.user == "web"
    assert config.simulation is None


def test_absolute_paths_and_server_databases_stay(tmp_path: Path) -> None:
    text = EXAMPLE.replace('"sqlite:///ledger.db"', '"postgresql+psycopg://hub@db/ledger"')
    text = text.replace('"trust.toml"', '"/etc/gridtally/trust.toml"')
    config = load_config(write(tmp_path, text))
    assert config.database == "postgresql+psycopg://hub@db/ledger"
    assert config.trust == "/etc/gridtally/trust.toml"


def test_a_simulation_clock_is_a_socket(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, EXAMPLE + '[simulation]\nclock = "unix:clock.sock"\n'))
    assert config.simulation is not None
    assert config.simulation.clock == str(tmp_path / "clock.sock")


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    found = findings(
        tmp_path,
        'microgrid = "Bench!"\n'
        'colour = "green"\n'
        'database = "ledger.db"\n'
        "[keys]\n"
        "log = 7\n"
        'hub = "keys/hub.pem"\n'
        "[slots]\n"
        "slot = 900000\n"
        'close_after_ms = "30000"\n'
        "[dispatch]\n"
        "lease_ttl_ms = 60000\n"
        "[web]\n"
        'host = "0.0.0.0"\n'
        'user = "hub"\n'
        "[simulation]\n"
        'clock = "clock.sock"\n',
    )
    assert [line.split(":")[0] for line in found] == [
        "1",
        "2",
        "3",
        "5",
        "8",
        "9",
        "11",
        "13",
        "14",
        "16",
    ]
    assert "slot_ms" in found[4]
    assert "above 10000" in found[6]
    assert "127.0.0.1" in found[7]
    assert "one client a name" in found[8]


def test_a_missing_file_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gridtally-hub init"):
        load_config(tmp_path / "absent.toml")
