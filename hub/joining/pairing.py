"""One pairing from its text to a node that is enrolled: what the `pair` command does.

The person at the hub decides; this asks, signs with the administrator's key, hands the entries to
the ledger through the same door as every command, and gives the node its certificate.
"""

from __future__ import annotations

import ipaddress
import queue
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from hub.commands.enrolling import hand_over, sign_as_administrator
from hub.config import HubConfig
from hub.errors import HubError
from hub.joining.authority import Authority, open_authority
from hub.joining.endpoint import Asked, Closed, Endpoint, TlsKey, Told
from hub.joining.errors import JoiningRefused
from hub.joining.mosquitto import Mosquitto
from hub.joining.registry import current_keys, ended_nodes, read_registry
from hub.joining.window import Expected, Joining, Reason, Refused, Window
from hub.starting import read_trust
from messages.pairing import (
    ACCEPTED,
    REFUSED,
    TOKEN_BYTES,
    Answer,
    Offer,
    PairingText,
    format_text,
    is_host,
    pin_of,
)

MS_PER_MINUTE: Final = 60_000
LOOK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """Who may join, from where. `member`: whose node it is, "" if the node may say.

    `host` is how the node reaches this machine; `port` 0 takes any that is free.
    """

    node: str
    member: str
    minutes: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Paired:
    """What came of it: the lines of what was enrolled, and whether Mosquitto must read again."""

    lines: tuple[str, ...]
    must_reload: bool


class Pairing:
    """Owns the endpoint while it is open; `text` is for the node."""

    def __init__(self, config: HubConfig, plan: Plan) -> None:
        """Open everything, and listen.

        Raises:
            JoiningRefused: the broker's files are not there, or the address is not ours.
            ConfigError: the administrator's key is not here.
        """
        self._config, self._plan = config, plan
        self._mosquitto = mosquitto_of(config)
        self._authority = authority_of(config)
        broker_host = plan.host if is_loopback(config.broker.host) else config.broker.host
        self._mosquitto.check_host(broker_host)
        sign_as_administrator(config, [])  # the key is there before a person is asked
        tls, token = TlsKey(), secrets.token_bytes(TOKEN_BYTES)
        trust = Path(config.trust).read_text(encoding="utf-8")
        pin = pin_of(tls.public, trust, self._authority.der)
        self.ends_ms = _now_ms() + plan.minutes * MS_PER_MINUTE
        offer = Offer(
            microgrid=config.microgrid,
            member=plan.member,
            slot_ms=config.slots.slot_ms,
            broker_host=broker_host,
            broker_port=config.broker.port,
            trust=trust,
            authority=self._authority.der,
            challenge=b"",
        )
        expected = Expected(
            microgrid=config.microgrid,
            network_id=read_trust(Path(config.trust)).network_id,
            node=plan.node,
            member=plan.member,
            pin=pin,
            token=token,
            ends_ms=self.ends_ms,
            registered=lambda: current_keys(read_registry(config)),
        )
        self._endpoint = Endpoint(Window(expected), offer, tls)
        port = self._endpoint.start(_own_address(plan.host), plan.port)
        self.text = format_text(PairingText(plan.host, port, plan.node, pin, token))

    def __enter__(self) -> Pairing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._endpoint.stop()

    def wait(self, tell: Callable[[str], None], confirm: Callable[[Joining, str], bool]) -> Paired:
        """Wait until a node has joined.

        Args:
            tell: says what happens, to a person.
            confirm: shows a node's keys and where it is; whether they are the right ones.

        Raises:
            JoiningRefused: the time is over, there were too many tries, or the person said no.
        """
        while True:
            left_ms = self.ends_ms - _now_ms()
            if left_ms <= 0:
                raise JoiningRefused(f"{Reason.EXPIRED}: no node joined in time; nothing changed")
            try:
                event = self._endpoint.events.get(timeout=min(left_ms / 1000, LOOK_EVERY_S))
            except queue.Empty:
                continue
            if isinstance(event, Told):
                tell(event.text)
            elif isinstance(event, Closed):
                raise JoiningRefused(
                    f"{Reason.TOO_MANY_TRIES}: somebody tried wrong tokens; nothing changed"
                )
            else:
                return self._decide(event, confirm)

    def _decide(self, asked: Asked, confirm: Callable[[Joining, str], bool]) -> Paired:
        """Let the person decide, do what follows, and let the node know, whatever comes."""
        refused: Refused | None = Refused(Reason.LEDGER_REFUSED, "the hub could not do it")
        try:
            refused = self._objection(asked, confirm)
            if refused is None:
                paired, certificate = self._enrol(asked.joining)
                asked.answer.set_result(Answer(ACCEPTED, "", certificate))
                return paired
        except HubError as error:
            refused = Refused(Reason.LEDGER_REFUSED, str(error))
            raise
        finally:
            if not asked.answer.done():
                asked.answer.set_result(Answer(REFUSED, str(refused)))
        raise JoiningRefused(str(refused))

    def _objection(self, asked: Asked, confirm: Callable[[Joining, str], bool]) -> Refused | None:
        if not confirm(asked.joining, asked.peer):
            return Refused(Reason.NOT_CONFIRMED, "the person at the hub saw other fingerprints")
        if _now_ms() >= self.ends_ms:
            return Refused(Reason.EXPIRED, "it was confirmed when the time was over")
        return None

    def _enrol(self, joining: Joining) -> tuple[Paired, bytes]:
        entries = joining.entries
        reasons = hand_over(self._config, sign_as_administrator(self._config, entries))
        if any(reasons):
            raise JoiningRefused("; ".join(filter(None, reasons)))
        certificate = self._authority.issue_client(joining.enrolment.node.name, joining.tls_key)
        ended = ended_nodes(read_registry(self._config))
        must_reload = self._mosquitto.refresh(self._authority, ended)
        fresh = {(entry.holder, entry.name) for entry in entries}
        lines = tuple(
            f"{entry.holder} {entry.name}: "
            + ("enrolled" if (entry.holder, entry.name) in fresh else "was enrolled already")
            for entry in joining.enrolment.entries
        )
        return Paired(lines, must_reload), certificate.public_bytes(Encoding.PEM)


def authority_of(config: HubConfig) -> Authority:
    """Return the hub's certificate authority; it is made if there is none."""
    return open_authority(Path(config.state) / "tls", config.microgrid)


def mosquitto_of(config: HubConfig) -> Mosquitto:
    """Return the folder of Mosquitto's files.

    Raises:
        JoiningRefused: the configuration names none.
    """
    if config.broker.mosquitto is None or config.broker.tls is None:
        raise JoiningRefused(
            "nodes are paired over TLS, and hub.toml names no certificates: run "
            "`gridtally-hub mosquitto --name HOST` first, where HOST is how nodes reach the broker"
        )
    return Mosquitto(Path(config.broker.mosquitto), config.microgrid)


def is_loopback(host: str) -> bool:
    """Whether an address is good on this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_host() -> str:
    """Return this machine's address in its network: that from which others would be spoken to.

    Raises:
        JoiningRefused: it has none.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nobody; no packet is sent
            return str(probe.getsockname()[0])
        except OSError:
            raise JoiningRefused(
                "this machine has no network: say --host with the address nodes reach it at"
            ) from None


def check_host(host: str) -> str:
    """Return a host in small letters; JoiningRefused if it cannot stand in a pairing text."""
    lowered = host.lower()
    if not is_host(lowered):
        raise JoiningRefused(f"--host {host}: want a name or an address, as hub.local")
    return lowered


def _own_address(host: str) -> str:
    """Return where to listen: at the address itself if it is this machine's, else everywhere."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return "0.0.0.0"  # noqa: S104 - a name that nodes know; the pin and the token guard it
    family = socket.AF_INET6 if found.version == 6 else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return "::" if found.version == 6 else "0.0.0.0"  # noqa: S104 - behind another router
    return host


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
