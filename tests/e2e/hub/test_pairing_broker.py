"""What a paired node may do at the broker, who else may do nothing, and how a node is cut off."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from edge.joining.errors import JoinRefused
from edge.joining.meeting import meet
from hub.joining.authority import BEGIN, END, load_tls_key, open_authority
from hub.joining.registry import current_keys, read_registry
from messages import cbor
from messages.pairing import Request, format_text, parse_text
from tests.support.calling import Caller, calling, context_of
from tests.support.paired import HOST, Paired, paired_microgrid, wait_until

UP, DOWN = "gridtally/bench/{}/up/hello", "gridtally/bench/{}/down/receipt"


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paired]:
    """Yield a microgrid with two nodes and its broker; no hub runs, so each word is the test's."""
    with paired_microgrid(tmp_path_factory.mktemp("grid")) as made:
        made.start_broker()
        for node, purpose in (("dep1", "consumption"), ("dep2", "generation")):
            made.paired(node, made.node(node, "alice", purpose))
        yield made


def certificate(grid: Paired, node: str) -> ssl.SSLContext:
    tls = grid.folder / node / "tls"
    return context_of(tls / "ca.pem", tls / f"{node}.pem", tls / f"{node}.key.pem")


def hubs_own(grid: Paired) -> ssl.SSLContext:
    files = grid.config.broker.tls
    assert files is not None
    return context_of(Path(str(files.ca)), Path(str(files.cert)), Path(str(files.key)))


@contextmanager
def hub_and(grid: Paired, *contexts: ssl.SSLContext, **names: str) -> Iterator[list[Caller]]:
    """Yield the hub's own connection, which hears all that nodes may say, and those of others."""
    with ExitStack() as closing:
        hub = closing.enter_context(calling(grid.port, hubs_own(grid)))
        hub.subscribe("gridtally/bench/+/up/#")
        yield [
            hub,
            *(closing.enter_context(calling(grid.port, each, **names)) for each in contexts),
        ]


def test_a_node_says_and_hears_its_own_alone(grid: Paired) -> None:
    with hub_and(grid, certificate(grid, "dep1"), certificate(grid, "dep2")) as (hub, one, two):
        one.subscribe(
            "gridtally/bench/dep1/down/#",
            "gridtally/bench/dep2/down/#",
            "gridtally/bench/+/up/#",
            "gridtally/#",
            "#",
            "+/+/+/+/+",
            "$SYS/#",
            "$share/all/gridtally/#",
        )
        two.subscribe("gridtally/bench/dep2/down/#")
        for topic in (UP.format("dep2"), DOWN.format("dep2"), DOWN.format("dep1"), "other/topic"):
            one.publish(topic, b"forged")
        one.publish("gridtally/other/dep1/up/hello", b"forged")
        one.publish(UP.format("dep1"), b"mine")
        two.publish(UP.format("dep2"), b"two's")
        hub.publish(DOWN.format("dep2"), b"for two")
        hub.publish(DOWN.format("dep1"), b"for one")
        hub.wait_for(UP.format("dep1"), b"mine")
        hub.wait_for(UP.format("dep2"), b"two's")
        two.wait_for(DOWN.format("dep2"), b"for two")
        one.wait_for(DOWN.format("dep1"), b"for one")
        assert set(hub.heard) == {(UP.format("dep1"), b"mine"), (UP.format("dep2"), b"two's")}
        assert set(two.heard) == {(DOWN.format("dep2"), b"for two")}
        assert set(one.heard) == {(DOWN.format("dep1"), b"for one")}


@pytest.mark.parametrize("name", ["dep2", "hub", "web"])
def test_the_certificate_says_who_a_node_is_whatever_it_calls_itself(
    grid: Paired, name: str
) -> None:
    with hub_and(grid, certificate(grid, "dep2")) as (hub, two):
        two.subscribe("gridtally/bench/dep2/down/#")
        with calling(grid.port, certificate(grid, "dep1"), client_id=name, user=name) as thief:
            thief.subscribe(f"gridtally/bench/{name}/down/#", "gridtally/bench/dep1/down/#")
            thief.publish(UP.format(name), b"stolen")
            thief.publish(DOWN.format("dep2"), b"stolen")
            thief.publish(UP.format("dep1"), b"its own")
            hub.wait_for(UP.format("dep1"), b"its own")
            hub.publish(DOWN.format("dep2"), b"for two")
            hub.publish(DOWN.format("dep1"), b"for one")
            two.wait_for(DOWN.format("dep2"), b"for two")
            thief.wait_for(DOWN.format("dep1"), b"for one")
            assert thief.heard == [(DOWN.format("dep1"), b"for one")]
        assert hub.heard == [(UP.format("dep1"), b"its own")]
        assert two.heard == [(DOWN.format("dep2"), b"for two")]
        assert not two.lost.is_set(), "nobody pushes another node off the broker by its name"


def test_who_speaks_no_tls_is_not_let_in(grid: Paired) -> None:
    with pytest.raises(ConnectionRefusedError), calling(grid.port, None, "dep1", "dep1"):
        pass


def test_who_has_no_certificate_is_not_let_in(grid: Paired) -> None:
    nobody = context_of(grid.folder / "dep1" / "tls" / "ca.pem", None, None)
    with pytest.raises(OSError), calling(grid.port, nobody, "dep1", "dep1"):
        pass


def test_another_authority_s_certificate_is_not_let_in(grid: Paired, tmp_path: Path) -> None:
    other = open_authority(tmp_path / "tls", "bench")
    key = ec.generate_private_key(ec.SECP256R1())
    made = other.issue_client("dep1", key.public_key())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "dep1.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (tmp_path / "dep1.key.pem").write_bytes(pem)
    forged = context_of(
        grid.folder / "dep1" / "tls" / "ca.pem", tmp_path / "dep1.pem", tmp_path / "dep1.key.pem"
    )
    with pytest.raises(OSError), calling(grid.port, forged):
        pass


def test_a_node_believes_no_other_broker(grid: Paired, tmp_path: Path) -> None:
    """The node checks the broker, too: another authority's server is none of its hub's."""
    context = context_of(open_authority(tmp_path / "tls", "bench").path, None, None)
    with (
        socket.create_connection((HOST, grid.port), 10) as link,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(link, server_hostname=HOST)


# --- a node that is revoked


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Paired]:
    with paired_microgrid(tmp_path) as made:
        yield made


def test_a_revoked_node_is_cut_off_and_stays_so(small: Paired) -> None:
    """Each of three is enough by itself: the ledger, the ACL, and the revocation list."""
    broker = small.start_broker()
    hub = small.start_hub()
    folder = small.node("dep1", "alice", "consumption")
    small.paired("dep1", folder)
    edge = small.run_edge(folder)
    wait_until(lambda: small.stored("dep1-consumption") >= 1, "a register")
    revoked = small.hub("key", "revoke", "node", "dep1", "--yes")
    assert revoked.returncode == 0, revoked.stderr
    assert revoked.stdout == "node dep1: revoked\nmeter dep1-consumption: revoked\n"
    assert "now run: sudo systemctl reload mosquitto" in revoked.stderr

    # The ledger: the broker has not been told yet, and the hub takes nothing any more.
    stored = small.stored("dep1-consumption")
    wait_until(lambda: "refused from node dep1: revoked-key" in hub.log_text(), "the hub's no")
    assert small.stored("dep1-consumption") == stored

    # The revocation list: the broker lets it in no more, not even after its own restart.
    small.reload_broker(broker)
    broker.process.terminate()
    broker.end()
    started = small.start_broker()
    with pytest.raises(OSError), calling(small.port, certificate(small, "dep1")):
        pass
    lost = edge.said().count("the broker is there")
    wait_until(lambda: "the broker is away" in edge.said(), "the node says so")
    assert edge.said().count("the broker is there") == lost

    # The ACL: with a list that forgot it, it is let in, and what it says goes nowhere.
    files = small.hub_folder / "mosquitto"
    shutil.move(files / "crl.pem", small.folder / "crl.kept")
    unlisted = x509.CertificateRevocationListBuilder().issuer_name(
        open_authority(small.hub_folder / "tls", "bench").certificate.subject
    )
    empty = unlisted.last_update(BEGIN).next_update(END).sign(authority_key(small), hashes.SHA256())
    (files / "crl.pem").write_bytes(empty.public_bytes(Encoding.PEM))
    small.reload_broker(started)
    hub.stop()
    with hub_and(small, certificate(small, "dep1")) as (listener, node):
        node.publish(UP.format("dep1"), b"still here")
        listener.publish(DOWN.format("dep1"), b"for one")
        listener.publish(UP.format("hub"), b"marker")
        assert not node.heard
    assert listener.heard == []


def authority_key(grid: Paired) -> ec.EllipticCurvePrivateKey:
    return load_tls_key(grid.hub_folder / "tls" / "ca.key.pem")


# --- somebody in between, and keys that are none


class Between:
    """Somebody between node and hub: takes the node's connection with a certificate of his own."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gridtally pairing")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
        made = (
            builder.public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(BEGIN)
            .not_valid_after(END)
            .sign(key, hashes.SHA256())
        )
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "between.pem").write_bytes(pem + made.public_bytes(Encoding.PEM))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "between.pem")
        self._door = socket.create_server((HOST, 0))
        self.port = int(self._door.getsockname()[1])
        self.got = b""

    def relay(self, hub_port: int) -> None:
        """Show the node the hub's own offer, and keep what the node says then."""
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
        link = self._context.wrap_socket(self._door.accept()[0], server_side=True)
        with link, plain.wrap_socket(socket.create_connection((HOST, hub_port))) as hub:
            link.sendall(hub.recv(65_536))
            link.settimeout(20)
            while part := link.recv(65_536):
                self.got += part

    def close(self) -> None:
        self._door.close()


def test_somebody_in_between_learns_nothing_and_is_named(grid: Paired, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    hub, text = grid.pair("dep9", "--member", "alice")
    between = Between(tmp_path)
    worker = threading.Thread(target=between.relay, args=(parse_text(text).port,))
    worker.start()
    try:
        node = grid.join(text_via(text, between.port), folder)
        assert node.end() == 65
    finally:
        worker.join(30)
        between.close()
    assert "somebody is in between: nothing was sent to it" in node.said()
    assert between.got == b""
    assert list(folder.iterdir()) == []
    hub.process.kill()


def text_via(text: str, port: int) -> str:
    """Return the text as a network delivers it that leads its address elsewhere."""
    return format_text(replace(parse_text(text), port=port))


SMALL_ORDER = {1: 1, -1: 6, -2: b"\1" + bytes(31)}
OFF_THE_CURVE = {1: 2, -1: 1, -2: bytes([1] * 32), -3: bytes([2] * 32)}
ON_P384 = {1: 2, -1: 2, -2: bytes([1] * 48), -3: bytes([2] * 48)}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (SMALL_ORDER, "a small-order point: anybody could sign under it"),
        (OFF_THE_CURVE, "not on the curve"),
        (ON_P384, "not a COSE_Key of Ed25519 or P-256"),
    ],
    ids=["small order", "off the curve", "another curve"],
)
def test_keys_that_bind_nobody_are_refused_before_a_person_is_asked(
    grid: Paired, key: dict[int, int | bytes], words: str
) -> None:
    hub, text = grid.pair("dep9", "--member", "alice")
    enrolment = {
        "format": "gridtally-enrol-1",
        "microgrid": "bench",
        "node": "dep9",
        "member": "alice",
        "node_key": cbor.encode(key).hex(),
        "meters": [],
        "relays": [],
    }
    request = Request("dep9", json.dumps(enrolment), (), b"", b"")
    with (
        meet(parse_text(text)) as meeting,
        pytest.raises(JoinRefused, match=f"bad-enrolment: node_key: .*{words}"),
    ):
        meeting.ask(request)
    wait_until(lambda: "bad-enrolment" in hub.said(), "the hub says so, too")
    assert "compare" not in hub.said()
    hub.process.kill()
    assert ("node", "dep9") not in current_keys(read_registry(grid.config))
