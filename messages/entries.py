"""What the ledger holds besides readings: one frozen dataclass a kind, one content type each.

The payload of each is a deterministic CBOR map whose keys are the field names, written and read by
`messages.schema`. All are signed with the network's external_aad (genesis: the label alone).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from messages import cose, schema
from messages.banking import BankRules
from messages.cose import Envelope
from messages.disputes import DisputeRules
from messages.errors import MalformedMessage, UnsupportedVersion
from messages.feeding import Feed, FeedRule
from messages.investigation import Notice
from messages.logkeeping import Quorum, Takeover
from messages.proposing import USUAL_RULES, ProposerRules
from messages.publickey import Signer
from messages.regulating import UNBOUND, Regulation
from messages.relayfault import RelayFault

LABEL = b"gridtally/v1"
PURPOSES = ("generation", "consumption", "net", "storage", "appliance", "boundary")
DEENERGISED = ("fed", "cut")
SETPOINTS = ("", "limit", "battery")
"""What a relay can be told besides on and off: nothing, the most that a generator may give, or what
a battery takes (below 0: gives)."""


def network_aad(network_id: bytes) -> bytes:
    """Return the external_aad of everything but readings: it stops replay on another network."""
    return LABEL + network_id


def content_type(kind: str) -> str:
    """Return the content type of a kind of message, e.g. "close"."""
    return f"application/x.gridtally.{kind}+cbor"


@dataclass(frozen=True, slots=True)
class RelayEntry:
    """A relay of a node. `deenergised` says what its load is when the coil is: "fed" or "cut".

    `load` is the appliance meter that measures its load, "" where none does. `failsafe`: it lets
    go by itself when nobody holds it any more. Where a policy asks for it: less `importance` gives
    way first, and `shed_price_utok_per_kwh` is what its member asks for going without. With a
    `setpoint` it is told how much, and lets the device of meter `load` alone at rest. [mW, ms]
    """

    relay: str
    deenergised: str
    load: str
    member: str
    rated_mw: int
    critical: bool
    min_on_ms: int = 0
    min_off_ms: int = 0
    failsafe: bool = True
    importance: int = 0
    shed_price_utok_per_kwh: int = 0
    setpoint: str = ""


@dataclass(frozen=True, slots=True)
class Genesis:
    """Leaf 0: the parameters of the microgrid and its first keys (COSE_Keys). [ms]"""

    KIND: ClassVar[str] = "genesis"
    microgrid: str
    origin: str
    slot_ms: int
    close_after_ms: int
    readings: str
    simulation: bool
    administrator: bytes
    hub: bytes
    log: bytes
    policy: str
    at_ms: int
    proposers: ProposerRules = USUAL_RULES


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """Enrols, rotates or revokes a key, or changes its roles.

    `action`: "enrol", "rotate", "revoke", "role" or "describe". `holder`: "meter", "node", "feeder"
    or "member"; `name` is the meter id, node, feeder or member. A meter entry names node, member,
    purpose, parent, model, rated power, and what its energy comes from and where
    (`messages.membership`); a node entry carries its relays; a feeder's `facts` are what it may
    tell, name -> unit. A rotation may be signed by the old key, `replaces`, itself; it is
    countersigned by the new one: `proof` (`messages.possession`), which an enrolment may have, too.
    `last_sequences` names for each stream the last sequence of the old key.
    """

    KIND: ClassVar[str] = "key"
    action: str
    holder: str
    name: str
    key: bytes
    node: str = ""
    member: str = ""
    purpose: str = ""
    parent: str = ""
    model: str = ""
    rated_mw: int = 0
    first_sequence: int = 1
    roles: tuple[str, ...] = ()
    relays: tuple[RelayEntry, ...] = ()
    replaces: bytes = b""
    last_sequences: dict[str, int] = field(default_factory=dict)
    serial: str = ""
    fuel: str = ""
    location: str = ""
    proof: bytes = b""
    vrf: bytes = b""
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """What binds every slot from `from_slot_ms` on: contract, prices, dispatch. [ms, utok per kWh]

    `prices` and `feed_in` are schedules by time of day: (minute of the day UTC, utok per kWh), in
    ascending order, the first at minute 0. `feeds`: what outside facts take their place.
    `proposers`, `disputes`, `bank` None: as they were. `disclosure` and `pseudonyms` ("stable" or
    "fresh" each slot): who sees what of others (`hub.core.disclosing`).
    `regulation`: what binds every contract.
    """

    KIND: ClassVar[str] = "policy"
    from_slot_ms: int
    contract: str
    parameters: dict[str, int | str]
    prices: tuple[tuple[int, int], ...]
    feed_in: tuple[tuple[int, int], ...]
    dispatch: str
    dispatch_parameters: dict[str, int | str]
    disclosure: str
    code_id: bytes
    proposers: ProposerRules | None = None
    pseudonyms: str = "stable"
    disputes: DisputeRules | None = None
    feeds: tuple[FeedRule, ...] = ()
    bank: BankRules | None = None
    regulation: Regulation = UNBOUND


@dataclass(frozen=True, slots=True)
class Close:
    """The hub closes a slot, and the fold settles on it.

    `reason`: "complete", "timeout" or "simulation".
    """

    KIND: ClassVar[str] = "close"
    slot_start_ms: int
    reason: str
    missing: tuple[str, ...]
    at_ms: int


@dataclass(frozen=True, slots=True)
class Gap:
    """The hub declares that sequences first to last of a stream will never be admitted."""

    KIND: ClassVar[str] = "gap"
    key: bytes
    stream: str
    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Output:
    """What a decision wants of one relay; `power_mw` is the last signed power of its load.

    `setpoint_mw`: what a set-point is to stand at; None for a relay, and where none is to stand.
    `shift`: the wish of its node by which it rests (`messages.status`), "" where it is no wish.
    """

    node: str
    relay: str
    member: str
    load: str
    energised: bool
    cut: bool
    power_mw: int | None
    setpoint_mw: int | None = None
    shift: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A dispatch decision that changes something: why, under which limit, from which view."""

    KIND: ClassVar[str] = "decision"
    at_ms: int
    policy: str
    code_id: bytes
    view_root: bytes
    limit: str
    rule: str
    reason: str
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Seal:
    """Commits to `count` telemetry packs in (key id, sequence) order; `root` is RFC 6962's."""

    KIND: ClassVar[str] = "seal"
    slot_start_ms: int
    count: int
    root: bytes


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """The header that covers a close: fields 1 to 12 of the block format, under their names.

    All but `vrf_proof` and `round` follow from the entries before it, whoever proposes it. Signed
    by the replica whose turn `round` is, by the order that was drawn with `seed`; by the hub, in
    round 0 and without a proof, where there is none.
    """

    KIND: ClassVar[str] = "block"
    height: int
    previous: bytes
    first_index: int
    end_index: int
    log_root: bytes
    state_root: bytes
    results_root: bytes
    code_id: bytes
    seed: bytes
    vrf_proof: bytes
    round: int
    close_time_ms: int


@dataclass(frozen=True, slots=True)
class Ack:
    """A node says that a contact moved, or why it did not; stream `event` of the node's key.

    `outcome`: "applied", "refused", "expired", "safe", or "override": a switch on the node holds
    it there, whatever the hub wants. `setpoint_mw`: what its device keeps to now, None where no
    set-point stands. [ms; boottime since the node's start]
    """

    KIND: ClassVar[str] = "ack"
    event: int
    node: str
    relay: str
    lease_sequence: int
    energised: bool
    outcome: str
    reason: str
    at_ms: int
    boot_id: bytes
    boottime_ms: int
    setpoint_mw: int | None = None


@dataclass(frozen=True, slots=True)
class Epoch:
    """A node says that a meter's register began anew: reset, swapped or wrapped; stream `event`."""

    KIND: ClassVar[str] = "epoch"
    event: int
    node: str
    meter_id: str
    epoch: int
    last_import_uwh: int | None
    last_export_uwh: int | None
    first_import_uwh: int | None
    first_export_uwh: int | None
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """A node says how it corrects what a meter's device says, from `at_ms` on; stream `event`.

    What gain and offset do is `messages.correction`; all of them 0: as the device says. Counters of
    the device are never corrected. `reference_*` is what was true, None for what was not compared,
    while `samples` samples said `raw_*` on average; positive is import. [mW, mV, mA, ppm, ms]
    """

    KIND: ClassVar[str] = "calibration"
    event: int
    node: str
    meter_id: str
    power_gain_ppm: int
    power_offset_mw: int
    voltage_gain_ppm: int
    current_gain_ppm: int
    current_offset_ma: int
    reference_power_mw: int | None
    reference_voltage_mv: int | None
    reference_current_ma: int | None
    raw_power_mw: int | None
    raw_voltage_mv: int | None
    raw_current_ma: int | None
    samples: int
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Call:
    """A member calls a contract; by its random id it counts once, whichever device made it."""

    KIND: ClassVar[str] = "call"
    call_id: bytes
    not_after_slot_ms: int
    contract: str
    method: str
    arguments: dict[str, int | str | bytes | bool]


LedgerEntry = (
    Genesis
    | KeyEntry
    | PolicyEntry
    | Close
    | Gap
    | Decision
    | Seal
    | BlockHeader
    | Ack
    | Epoch
    | Calibration
    | Call
    | Notice
    | Quorum
    | Takeover
    | Feed
    | RelayFault
)
NodeEvent = Ack | Epoch | Calibration
"""What a node signs in its stream `event`, by the sequence in the field of that name."""

KINDS: dict[str, type[Any]] = {
    content_type(kind.KIND): kind
    for kind in (
        Genesis,
        KeyEntry,
        PolicyEntry,
        Close,
        Gap,
        Decision,
        Seal,
        BlockHeader,
        Ack,
        Epoch,
        Calibration,
        Call,
        Notice,
        Quorum,
        Takeover,
        Feed,
        RelayFault,
    )
}
Message = TypeVar("Message")


def sign_entry(signer: Signer, entry: Any, network_id: bytes) -> bytes:
    """Return an entry (or any dataclass with a KIND) signed for the network; genesis: b"".

    COSE_Sign1 as `cose.sign1` writes it, with
    content type  "application/x.gridtally.<kind>+cbor"
    payload       {"<field>": value, ...}, every field of the dataclass, a tuple as a list,
                  None as null; keys in deterministic order
    external_aad  "gridtally/v1" || network id (32 bytes; genesis: nothing)
    """
    return cose.sign1(
        signer, content_type(entry.KIND), schema.encode_record(entry), network_aad(network_id)
    )


def parse_entry(envelope: Envelope) -> LedgerEntry:
    """Return the entry in a message, by its content type.

    Raises:
        UnsupportedVersion: no kind of ours.
        MalformedMessage: the payload has another form.
    """
    kind = KINDS.get(str(envelope.content_type))
    if kind is None or envelope.sealed:
        raise UnsupportedVersion(f"content type {envelope.content_type} is no ledger entry of ours")
    entry: LedgerEntry = schema.decode_record(kind, envelope.payload)
    return entry


def parse_as(kind: type[Message], envelope: Envelope) -> Message:
    """Return the message of a known kind.

    Raises:
        MalformedMessage: another content type, or a payload of another form.
    """
    wanted = content_type(kind.KIND)  # type: ignore[attr-defined]
    if envelope.content_type != wanted or envelope.sealed:
        raise MalformedMessage(f"content type {envelope.content_type} is not {wanted}")
    return schema.decode_record(kind, envelope.payload)
