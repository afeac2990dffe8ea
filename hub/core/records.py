"""What the state is made of: one frozen record a table row. Integers, texts, bytes, None.

Units: energies uWh, powers mW, money utok, times ms UTC. A record is stored as the CBOR list of its
fields in this order, so a new field goes last and changes the state root: with a new code id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, NamedTuple

from hub.core.proposers import RuleRow, rule_row
from hub.market.contract import Value
from messages.correction import Correction
from messages.proposing import USUAL_RULES
from messages.regulating import UNBOUND


class Network(NamedTuple):
    """What genesis fixed for good. `network_id` is the leaf hash of entry 0."""

    network_id: bytes
    microgrid: str
    origin: str
    slot_ms: int
    close_after_ms: int
    readings: str
    is_simulation: bool
    policy: str
    proposers: RuleRow = rule_row(USUAL_RULES)


class Succession(NamedTuple):
    """A log key that ended, keyed by the entry that says so; `given_up`: entries it had signed.

    `old` and `new` are vkeys. The first entries, up to that one, went over to the new log.
    """

    old: str
    new: str
    given_up: int

    @property
    def keeps_name(self) -> bool:
        """Whether nothing was given up, known or not."""
        return self.old.partition("+")[0] == self.new.partition("+")[0]


class Progress(NamedTuple):
    """How far the fold has come.

    `first_slot_ms` is the first slot that ever closed, `next_slot_ms` the one that closes next;
    both None before the first close. `header_*` speak of the last block header. `results_*` are the
    frontier of the results since the last close (RFC 6962, one leaf a result).
    """

    first_slot_ms: int | None = None
    next_slot_ms: int | None = None
    header_height: int = -1
    header_id: bytes = b""
    header_end_index: int = 0
    due_end_index: int = 0
    results_size: int = 0
    results_hashes: tuple[bytes, ...] = ()


class Due(NamedTuple):
    """A close that still wants its block header; keyed by end index (exclusive).

    `settled_uwh` is what was settled in its slot for each member who has a replica. `state_root` is
    the state's right after the close, so it is only known at the entry after it; empty until then.
    """

    first_index: int
    results_root: bytes
    slot_ms: int
    close_time_ms: int
    settled_uwh: tuple[tuple[str, int], ...] = ()
    state_root: bytes = b""


class Key(NamedTuple):
    """One registered public key; `holder` is meter, node, replica, member, hub or log.

    It counts from `from_index` on. `until_index` set: revoked, no later entry counts. `rotated_to`
    set: another key took over, and only sequences up to `last_sequences` (stream, sequence) count.
    `vrf` is the COSE_Key of a replica's random function; a replica has its member's name. `facts`
    are what a feeder may tell: (name, unit).
    """

    cose_key: bytes
    holder: str
    name: str
    node: str
    roles: tuple[str, ...]
    first_sequence: int
    from_index: int
    until_index: int | None = None
    rotated_to: bytes = b""
    last_sequences: tuple[tuple[str, int], ...] = ()
    vrf: bytes = b""
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether it is neither revoked nor rotated."""
        return self.until_index is None and not self.rotated_to


class Meter(NamedTuple):
    """One measuring point. Settled unless it has a parent or is an appliance or boundary meter.

    It is its member's since entry `member_index`; what it said before is not his to read.
    """

    kid: bytes
    node: str
    member: str
    purpose: str
    parent: str
    model: str
    rated_mw: int
    serial: str
    is_retired: bool = False
    fuel: str = ""
    location: str = ""
    member_index: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether its energy is on its member's bill: children are counted by their parent."""
        return not self.parent and self.purpose not in ("appliance", "boundary")


class Relay(NamedTuple):
    """One relay as its node was enrolled with it; keyed by (node, relay)."""

    deenergised: str
    load: str
    member: str
    rated_mw: int
    is_critical: bool
    min_on_ms: int
    min_off_ms: int
    is_failsafe: bool = True
    importance: int = 0
    shed_price_utok_per_kwh: int = 0
    setpoint: str = ""

    def is_cut(self, *, energised: bool) -> bool:
        """Whether the load is cut off while the coil is (not) energised."""
        return energised != (self.deenergised == "cut")


class Kept(NamedTuple):
    """A record that is kept off the ledger; keyed by the id of the entry that put it.

    `digest` is what it commits to, `locators` say in which stores its ciphertext lies.
    """

    owner: str
    purpose: str
    digest: bytes
    locators: str
    by: str
    erased_index: int | None = None


class Access(NamedTuple):
    """A request to read that was served; keyed by its call id, for as long as that counts.

    It is for a record, or, where that is empty, for a meter's sealed readings taken at `from_ms` or
    later and before `until_ms`.

    `why` is owner, grant, or a case as "case ann-1". `reply_key`: the X25519 key that the answer is
    for.
    """

    record: bytes
    member: str
    why: str
    reply_key: bytes
    entry_index: int
    meter: str = ""
    from_ms: int = 0
    until_ms: int = 0


class Case(NamedTuple):
    """An investigation of the regulator's; keyed by its name, which is used once.

    It is open in slots up to `until_slot_ms`, and its owner is told once `embargo_slot_ms` is over.
    `accesses`: the entries that used it. `told_index`: the hub's notice to the owner.
    """

    owner: str
    by: str
    reason: str
    opened_index: int
    until_slot_ms: int
    embargo_slot_ms: int
    accesses: tuple[int, ...] = ()
    closed_index: int | None = None
    told_index: int | None = None

    def is_open(self, slot_ms: int) -> bool:
        """Whether it may be used in a slot."""
        return self.closed_index is None and slot_ms <= self.until_slot_ms

    def is_public(self, slot_ms: int) -> bool:
        """Whether its owner may know of it in a slot: the embargo is over, or the case is."""
        return not self.is_open(slot_ms) or slot_ms >= self.embargo_slot_ms


class Policy(NamedTuple):
    """What binds every slot from its start on; keyed by it. Schedules: (minute of day, price).

    `disputes`, `bank`, `regulation` and each of `feeds` are the fields of `DisputeRules`,
    `BankRules`, `Regulation` and `FeedRule` in their order.
    """

    contract: str
    parameters: Mapping[str, Value]
    prices: tuple[tuple[int, int], ...]
    feed_in: tuple[tuple[int, int], ...]
    dispatch: str
    dispatch_parameters: Mapping[str, Value]
    disclosure: str
    code_id: bytes
    entry_index: int
    proposers: RuleRow = rule_row(USUAL_RULES)
    pseudonyms: str = "stable"
    disputes: tuple[int, int, str] | None = None
    feeds: tuple[tuple[str, str, int, int, int, int | None], ...] = ()
    bank: tuple[int, ...] | None = None
    regulation: tuple[Any, ...] = astuple(UNBOUND)


class Fact(NamedTuple):
    """What a feeder told; keyed by (feeder, fact, the instant from which on it counts). [ms UTC]"""

    value: int
    unit: str
    valid_until_ms: int
    entry_index: int


class Closed(NamedTuple):
    """A closed slot, for as long as it may be disputed or corrected; keyed by its start.

    `results_*` is the tree of its results. `until_ms` is the last slot in which its lines can be
    disputed. `facts` are the feed entries that its prices come from. [ms UTC, utok per kWh]
    """

    results_root: bytes
    results_size: int
    until_ms: int
    price_utok_per_kwh: int
    feed_in_utok_per_kwh: int
    facts: tuple[int, ...] = ()


class Dispute(NamedTuple):
    """An open dispute; keyed by the index of the entry that began it.

    `slot_ms` and `line` (from 1, of the claimant's own) say what about. It is ruled on up to slot
    `rule_by_ms`; then `unruled` happens. `answer_index`: where the respondent answered. [ms, utok]
    """

    claimant: str
    respondent: str
    slot_ms: int
    line: int
    amount_utok: int
    rule_by_ms: int
    unruled: str
    answer_index: int | None = None


class Calibrated(NamedTuple):
    """How a meter's node corrects what its device says, from `at_ms` on; keyed by meter.

    What gain and offset do is `messages.correction`. `entry_index`: where it stands with what it
    was compared to.
    """

    at_ms: int
    power_gain_ppm: int
    power_offset_mw: int
    voltage_gain_ppm: int
    current_gain_ppm: int
    current_offset_ma: int
    entry_index: int

    @property
    def power(self) -> Correction:
        """What is done to its power. [mW]"""
        return Correction(self.power_gain_ppm, self.power_offset_mw)


class Register(NamedTuple):
    """A meter's totals at a slot edge that settlement has not reached yet; keyed (edge, meter)."""

    epoch: int
    import_uwh: int | None
    export_uwh: int | None


class Cursor(NamedTuple):
    """The register up to which a meter's energy is settled, and what a missing slot is taken for.

    `last_*` is its last metered slot. `estimate_*` is what each slot since `at_ms` that is closed
    already was estimated at. `bridges` lead over registers that began anew, one step an epoch:
    (epoch, import, export), where totals of that epoch plus this much continue the one before;
    None where that is not known.
    """

    at_ms: int
    epoch: int
    import_uwh: int | None
    export_uwh: int | None
    last_import_uwh: int = 0
    last_export_uwh: int = 0
    estimate_import_uwh: int = 0
    estimate_export_uwh: int = 0
    bridges: tuple[tuple[int, int | None, int | None], ...] = ()


class Contact(NamedTuple):
    """What is known of a relay's contact, and what the last decision wants of it.

    `at_ms`: when it last moved; 0 where no acknowledgement came yet and it stands safe.
    `decision_index` None: no decision spoke of it. `power_mw`: the load's last signed power before
    it was cut, None where there was none. `shed_from_ms`: its open row in `Shed`. `shift`: the wish
    of its node by which its load rests.
    """

    at_ms: int
    is_cut: bool
    decision_index: int | None = None
    wants_cut: bool = False
    power_mw: int | None = None
    rule: str = ""
    shed_from_ms: int | None = None
    shift: str = ""


class Faulty(NamedTuple):
    """What measurement said of a relay last; `fault` "" where it works again.

    `welds`: how often it was found welded since a person cleared it. `at_ms`: UTC. `entry_index`:
    where it stands.
    """

    fault: str
    reason: str
    at_ms: int
    welds: int
    entry_index: int


class Shed(NamedTuple):
    """A load that a decision holds open, or held open in a slot not closed yet.

    Keyed (node, relay, from_ms). `until_ms` None: still open. `carry_uj` is what has been counted
    but is less than 1 uWh (3600 uJ). `is_shift`: its node lets it wait; that is not curtailed.
    """

    member: str
    power_mw: int
    until_ms: int | None
    decision_index: int
    reason: str
    carry_uj: int = 0
    is_shift: bool = False
