"""The small CA: what it signs, what it no longer stands for, and that late clocks do not matter."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.joining.authority import Authority, hosts_of, open_authority, requested_key
from hub.joining.errors import JoiningRefused
from keys.errors import KeyFault

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return open_authority(tmp_path / "tls", "bench")


def revoked(authority: Authority) -> set[int]:
    crl = x509.load_pem_x509_crl(authority.revocation_list.read_bytes())
    assert crl.is_signature_valid(authority.certificate.public_key())  # type: ignore[arg-type]
    return {each.serial_number for each in crl}


def test_it_is_made_once_and_kept(authority: Authority, tmp_path: Path) -> None:
    again = open_authority(tmp_path / "tls", "bench")
    assert again.der == authority.der
    assert stat.S_IMODE((tmp_path / "tls" / "ca.key.pem").stat().st_mode) == 0o600


def test_certificates_begin_in_the_year_2000_and_do_not_end(authority: Authority) -> None:
    client = authority.issue_client("dep1", KEY)
    server = authority.issue_server(["hub.local"], KEY)
    for certificate in (authority.certificate, client, server):
        assert certificate.not_valid_before_utc == datetime(2000, 1, 1, tzinfo=UTC)
        assert certificate.not_valid_after_utc.year == 9999
    crl = x509.load_pem_x509_crl(authority.revocation_list.read_bytes())
    assert crl.last_update_utc.year == 2000
    assert crl.next_update_utc is not None
    assert crl.next_update_utc.year == 9999


def test_a_client_certificate_is_one_and_names_its_user(authority: Authority) -> None:
    client = authority.issue_client("dep1", KEY)
    client.verify_directly_issued_by(authority.certificate)
    (name,) = client.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "dep1"
    usage = client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    constraints = client.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not constraints.ca


def test_a_server_certificate_names_its_hosts(authority: Authority, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    server = authority.issue_server(["hub.local", "192.168.1.20", "fd00::17"], KEY)
    path = tmp_path / "server.crt"
    path.write_bytes(server.public_bytes(Encoding.PEM))
    assert sorted(hosts_of(path)) == ["192.168.1.20", "fd00::17", "hub.local"]
    usage = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_node_has_one_certificate_that_counts(authority: Authority) -> None:
    first = authority.issue_client("dep1", KEY)
    other = authority.issue_client("dep1-b", KEY)
    assert revoked(authority) == set()
    second = authority.issue_client("dep1", KEY)
    assert revoked(authority) == {first.serial_number}
    assert authority.revoke("dep1") == 1
    assert revoked(authority) == {first.serial_number, second.serial_number}
    assert authority.revoke("dep1") == 0
    assert other.serial_number not in revoked(authority), "a longer name is another node's"


def test_what_was_revoked_stays_so_over_a_restart(authority: Authority, tmp_path: Path) -> None:
    first = authority.issue_client("dep1", KEY)
    authority.revoke("dep1")
    authority.revocation_list.unlink()
    again = open_authority(tmp_path / "tls", "bench")
    assert revoked(again) == {first.serial_number}


def test_a_crash_between_revoking_and_listing_is_mended(
    authority: Authority, tmp_path: Path
) -> None:
    first = authority.issue_client("dep1", KEY)
    (path,) = (tmp_path / "tls" / "issued").iterdir()
    path.rename(tmp_path / "tls" / "revoked" / path.name)
    assert revoked(authority) == set()
    assert revoked(open_authority(tmp_path / "tls", "bench")) == {first.serial_number}


def test_a_list_that_is_right_is_not_written_again(authority: Authority, tmp_path: Path) -> None:
    """Mosquitto need not read again what did not change."""
    before = authority.revocation_list.read_bytes()
    authority.issue_client("dep1", KEY)
    open_authority(tmp_path / "tls", "bench")
    assert authority.revocation_list.read_bytes() == before


def test_a_key_that_others_can_read_or_of_another_authority_is_refused(
    authority: Authority, tmp_path: Path
) -> None:
    other = open_authority(tmp_path / "other", "bench")
    authority.path.write_bytes(other.path.read_bytes())
    with pytest.raises(JoiningRefused, match="is not the certificate of"):
        open_authority(tmp_path / "tls", "bench")
    (tmp_path / "other" / "ca.key.pem").chmod(0o644)
    with pytest.raises(KeyFault, match="chmod 600"):
        open_authority(tmp_path / "other", "bench")


@pytest.mark.parametrize("raw", [b"", b"\x30\x00", b"x" * 100])
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        requested_key(raw)
