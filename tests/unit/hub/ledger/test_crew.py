"""Signatures are checked ahead by other processes, and nothing is believed that was not checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from hub.ledger import crew as crews
from hub.ledger.crew import BATCH, Crew, Read, check_all
from messages import cose
from messages.entries import Close, sign_entry
from messages.reading import Reading, sign_reading
from tests.support.signers import ed25519, p256

NETWORK = b"n" * 32
METER, HUB, POCKET = ed25519("meter"), ed25519("hub"), p256("pocket")


def reading(number: int) -> bytes:
    return sign_reading(METER, Reading("bench", "m1", number, number, number, 0))


def close(number: int, network: bytes = NETWORK) -> bytes:
    return sign_entry(HUB, Close(number, "complete", (), 0), network)


def spoiled(raw: bytes) -> bytes:
    return raw[:-1] + bytes((raw[-1] ^ 1,))


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Crew(2, worth_it=1) as made:
        for signer in (METER, HUB, POCKET):
            made.learn(signer.public)
        made.join(NETWORK)
        yield made


def read(crew: Crew, raws: Sequence[bytes]) -> list[Read[bytes]]:
    return list(crew.ahead(raws, lambda raw: raw))


def test_everything_comes_in_order_with_the_key_it_was_checked_under(crew: Crew) -> None:
    raws = [reading(n) if n % 3 else close(n) for n in range(BATCH * 2 + 7)]
    found = read(crew, raws)
    assert [each.item for each in found] == raws
    assert found[0].key is None  # too early for a worker
    keys = [METER.public if n % 3 else HUB.public for n in range(1, len(raws))]
    assert [each.key for each in found[1:]] == keys
    assert found[5].envelope == cose.parse(raws[5])


def test_what_does_not_verify_or_is_of_nobody_is_left_to_the_fold(crew: Crew) -> None:
    stranger = sign_entry(ed25519("stranger"), Close(0, "x", (), 0), NETWORK)
    pocket = sign_entry(POCKET, Close(0, "x", (), 0), NETWORK)
    bad = [spoiled(reading(1)), stranger, close(1, b"m" * 32), b"no message", spoiled(pocket)]
    found = read(crew, [reading(0), *bad, pocket])[1:]
    assert [each.key for each in found[:-1]] == [None] * len(bad)
    assert found[3].envelope is None
    assert found[-1].key == POCKET.public


def test_many_signatures_at_once(crew: Crew) -> None:
    message = b"telemetry"
    signed = [(METER.public, METER.sign(message), message)] * (BATCH * 2)
    signed[7] = (METER.public, METER.sign(message), b"another")
    assert crew.good(signed) == [n != 7 for n in range(len(signed))]
    assert Crew(0).good(signed[6:8]) == [True, False]


def test_without_workers_the_fold_checks_everything() -> None:
    with Crew(0) as alone:
        alone.learn(METER.public)
        alone.join(NETWORK)
        assert [each.key for each in read(alone, [reading(1), reading(2)])] == [None, None]


def test_one_processor_is_no_crew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "processors", lambda: 1)
    with Crew(worth_it=1) as alone:
        alone.learn(METER.public)
        alone.join(NETWORK)
        assert [each.key for each in read(alone, [reading(1), reading(2)])] == [None, None]


def test_a_worker_answers_one_byte_a_check() -> None:
    message = b"x"
    checks = [(0, METER.sign(message), message), (0, METER.sign(message), b"y")]
    assert check_all(((METER.public.cose_key,), checks)) == b"\x01\x00"
