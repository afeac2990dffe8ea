"""Makes the keys of a node and the file with which an administrator enrols them."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.config import EdgeConfig
from edge.errors import Unavailable
from keys import stores
from messages.errors import MessageError
from messages.possession import Claim
from messages.publickey import ES256, Signer
from messages.trust import parse_trust

FORMAT: Final = "gridtally-enrol-1"
MW_PER_W: Final = 1_000


@dataclass(frozen=True, slots=True)
class MadeKey:
    """One key of the node; `name` is "" for the node's own. `is_new`: it was not there before."""

    name: str
    place: str
    signer: Signer
    is_new: bool


def make_keys(
    config: EdgeConfig, p256: Collection[str] = (), alg: int | None = None
) -> list[MadeKey]:
    """Make every key of a configuration that is not there yet; none is ever overwritten.

    Args:
        config: the node's.
        p256: the meters whose key is a P-256 one, whatever the others are.
        alg: of all others; None: Ed25519, or P-256 where the store has nothing else.

    Raises:
        Unavailable: a meter is named that is not there.
        KeyFault: a key cannot be made, or one that is there cannot be opened.
    """
    unknown = sorted(set(p256) - {each.meter_id for each in config.meter})
    if unknown:
        raise Unavailable(f"no meter is named {unknown[0]}: nothing was made")
    made = []
    for name, place in config.key_places.items():
        signer, is_new = stores.open_or_generate(place, ES256 if name in p256 else alg)
        made.append(MadeKey(name, place, signer, is_new))
    return made


def enrolment(
    config: EdgeConfig, made: list[MadeKey], network_id: bytes | None = None
) -> dict[str, Any]:
    """Return what `gridtally-hub enrol` reads: public keys, and what they are for.

    Where the network is known, each key says that it agrees (`messages.possession`).
    """
    keys = {each.name: each.signer.public.cose_key.hex() for each in made}
    proofs = {each.name: _proof(config.node, each, network_id) for each in made}
    return {
        "format": FORMAT,
        "microgrid": config.microgrid,
        "node": config.node,
        "member": config.member,
        "node_key": keys[""],
        "node_proof": proofs[""],
        "meters": [
            {
                "meter_id": each.meter_id,
                "model": Path(each.model).stem,
                "purpose": each.purpose,
                "parent": each.parent,
                "member": each.member,
                "rated_mw": each.rated_w * MW_PER_W,
                "key": keys[each.meter_id],
                "first_sequence": 1,
                "fuel": each.fuel,
                "location": each.location,
                "proof": proofs[each.meter_id],
            }
            for each in config.meter
        ],
        "relays": [
            {
                "relay": each.relay,
                "deenergised": each.deenergised,
                "load": each.load,
                "member": each.member,
                "rated_mw": each.rated_w * MW_PER_W,
                "critical": each.critical,
                "min_on_ms": each.min_on_ms,
                "min_off_ms": each.min_off_ms,
                "failsafe": not each.not_failsafe,
                "importance": each.importance,
                "shed_price_utok_per_kwh": each.shed_price_utok_per_kwh,
                "setpoint": each.setpoint,
            }
            for each in config.relay
        ],
    }


def claim_of(node: str, made: MadeKey, network_id: bytes, challenge: bytes = b"") -> Claim:
    """Return what a key of the node agrees to be."""
    if made.name:
        return Claim(network_id, "meter", made.name, challenge)
    return Claim(network_id, "node", node, challenge)


def known_network(config: EdgeConfig) -> bytes | None:
    """Return the id of the network that the node's trust.toml names, None without a good one."""
    try:
        return parse_trust(Path(config.trust).read_text(encoding="utf-8")).network_id
    except (OSError, MessageError, UnicodeDecodeError):
        return None


def write_enrolment(config: EdgeConfig, made: list[MadeKey], folder: Path) -> Path:
    """Write the enrolment file beside the configuration, and return its path.

    Raises:
        Unavailable: the folder cannot be written to.
    """
    path = folder / f"enrol-{config.node}.json"
    said = enrolment(config, made, known_network(config))
    try:
        path.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from None
    return path


def _proof(node: str, made: MadeKey, network_id: bytes | None) -> str:
    if network_id is None:
        return ""
    return claim_of(node, made, network_id).prove(made.signer).hex()
