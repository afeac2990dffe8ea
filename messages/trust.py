"""trust.toml: all that an edge, a member or a doubter needs in order to believe nobody."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from messages.errors import BadKey, MalformedMessage, MessageError
from messages.lineage import check_lineage
from messages.log.note import format_vkey
from messages.logkeeping import Takeover
from messages.publickey import PublicKey, parse_cose_key

LINEAGE = "lineage"
KEYS = ("network_id", "origin", "log_vkey", "hub_key", "policy", "simulation")


@dataclass(frozen=True, slots=True)
class Trust:
    """The network's id (leaf hash of genesis), its log's name and key, hub key and policy.

    `lineage`: where the log key is not the first one, the entries that say why.
    """

    network_id: bytes
    origin: str
    log_vkey: str
    hub_key: PublicKey
    policy: str
    simulation: bool = False
    lineage: tuple[bytes, ...] = ()

    @property
    def takeovers(self) -> tuple[Takeover, ...]:
        """What the log key took over, the oldest first."""
        return check_lineage(self.lineage, self.network_id).takeovers


def format_trust(trust: Trust) -> str:
    """Return the text of trust.toml.

    network_id = "<64 hex digits>"      leaf hash of genesis
    origin = "<the log's name>"
    log_vkey = "<key of type 0x01>"
    hub_key = "<COSE_Key in hex>"
    simulation = true or false
    policy = a text of several lines    C2SP tlog-policy: what makes a checkpoint final
    lineage = ["<entry in hex>", ...]   only where the log key is not the first one
    """
    lineage = "".join(f'  "{raw.hex()}",\n' for raw in trust.lineage)
    lines = "\n".join(_escape(line) for line in trust.policy.split("\n"))
    return (
        "# What makes this network this one. Public: give it to every node, member and doubter.\n"
        f'network_id = "{trust.network_id.hex()}"\n'
        f'origin = "{_escape(trust.origin)}"\n'
        f'log_vkey = "{_escape(trust.log_vkey)}"\n'
        f'hub_key = "{trust.hub_key.cose_key.hex()}"\n'
        f"simulation = {'true' if trust.simulation else 'false'}\n"
        f'policy = """\n{lines}"""\n' + (f"{LINEAGE} = [\n{lineage}]\n" if lineage else "")
    )


def _escape(text: str) -> str:
    """Return what stands between the quotes of a TOML string."""
    return "".join(f"\\u{ord(c):04x}" if c < " " or c in '"\\\x7f' else c for c in text)


def parse_trust(text: str) -> Trust:
    """Return the trust that a text holds.

    Raises:
        MalformedMessage: no TOML, a key missing or unknown, or a value of another form.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MalformedMessage(f"trust.toml: {error}") from None
    lineage = table.pop(LINEAGE, [])
    odd = sorted(set(table) ^ set(KEYS))
    if odd:
        raise MalformedMessage(f"trust.toml: missing or unknown: {', '.join(odd)}")
    if type(table["simulation"]) is not bool:
        raise MalformedMessage("trust.toml: simulation is true or false")
    texts = {key: table[key] for key in KEYS if key != "simulation"}
    if not all(type(value) is str for value in texts.values()):
        raise MalformedMessage("trust.toml: every value but simulation is a text")
    try:
        network_id = bytes.fromhex(texts["network_id"])
        hub_key = parse_cose_key(bytes.fromhex(texts["hub_key"]))
    except (ValueError, BadKey) as error:
        raise MalformedMessage(f"trust.toml: network_id or hub_key: {error}") from None
    if len(network_id) != 32:
        raise MalformedMessage("trust.toml: network_id has 32 bytes as 64 hex digits")
    return Trust(
        network_id,
        texts["origin"],
        texts["log_vkey"],
        hub_key,
        texts["policy"],
        table["simulation"],
        _lineage(lineage, network_id, texts["log_vkey"]),
    )


def _lineage(value: object, network_id: bytes, log_vkey: str) -> tuple[bytes, ...]:
    """Return the entries that lead to the log key; they have to."""
    if not isinstance(value, list) or not all(type(each) is str for each in value):
        raise MalformedMessage("trust.toml: lineage is a list of entries in hex")
    try:
        raws = tuple(bytes.fromhex(each) for each in value)
        found = check_lineage(raws, network_id).log_key
    except (ValueError, MessageError) as error:
        raise MalformedMessage(f"trust.toml: lineage: {error}") from None
    if found is not None and format_vkey(found) != log_vkey:
        raise MalformedMessage("trust.toml: the lineage leads to another log key than log_vkey")
    return raws
