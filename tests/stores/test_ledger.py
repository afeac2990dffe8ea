"""Readings that a token and a TPM signed become ledger entries, as those of any other key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from keys.stores import generate
from messages import cose
from messages.publickey import EDDSA, ES256, Signer
from tests.support.hub_bench import START_MS, Bench
from tests.support.soft_token import SoftToken
from tests.support.soft_tpm import SoftTpm


def take_in(folder: Path, signer: Signer) -> None:
    """Enrol a meter with this key; its reading must stand on the ledger, signed by it."""
    bench = Bench(folder)
    bench.meters["pv"] = signer  # type: ignore[assignment]
    opened = bench.open()
    try:
        spine = bench.spine(opened)
        assert bench.enrol(spine) == ["", "", "", ""]
        before = opened.recorder.store.size
        arrival = bench.reading("pv", START_MS, 1_000)
        spine.take_in([arrival], 1_000_000, START_MS)

        assert opened.recorder.store.size == before + 1
        envelope = cose.parse(opened.recorder.store.entry(before).raw)
        assert (envelope.raw, envelope.kid) == (arrival.raw, signer.public.kid)
        cose.verify(envelope, signer.public)
        forged = replace(arrival, raw=arrival.raw[:-1] + bytes([arrival.raw[-1] ^ 1]))
        spine.take_in([forged], 1_000_000, START_MS)
        assert opened.recorder.store.size == before + 1
    finally:
        opened.close()


@pytest.mark.parametrize("alg", [EDDSA, ES256], ids=["eddsa", "es256"])
def test_a_reading_signed_on_a_token_becomes_an_entry(
    token: SoftToken, tmp_path: Path, alg: int
) -> None:
    take_in(tmp_path / "hub", generate(token.place("pv"), alg))


@pytest.mark.parametrize("where", ["0x81000101", "file"])
def test_a_reading_signed_in_a_tpm_becomes_an_entry(
    tpm: SoftTpm, tmp_path: Path, where: str
) -> None:
    place = tpm.place(tmp_path / "pv.tpm" if where == "file" else where)
    take_in(tmp_path / "hub", generate(place))
