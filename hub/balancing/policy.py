"""What a dispatch policy is: `decide(view) -> decision`, pure, in integers.

The view is what the hub saw at one moment: the newest signed power of each meter with its age, the
relays, the limits. Live samples do not pass through the fold; a decision that changes anything is
appended with the root of its view before its leases go out, and where the view's body is kept, an
audit decides again. Powers in mW, positive into the site; times in ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from messages import cbor, schema
from messages.log import tree

VIEW_BYTES_MAX: Final = 1 << 22
SILENT: Final = "silent"
NOT_BELIEVED: Final = ("implausible", "frozen")
"""Words of quality with which a power counts as unknown."""


@dataclass(frozen=True, slots=True)
class MeterPower:
    """One meter as it was last seen. `power_mw` None: never; `age_ms` None: age not known.

    `quality` is the sample's own words, empty when nothing is doubtful.
    """

    meter_id: str
    member: str
    purpose: str
    parent: str
    rated_mw: int
    power_mw: int | None
    age_ms: int | None
    quality: str = ""

    def is_stale(self, stale_after_ms: int) -> bool:
        """Whether nobody knows what it shows now."""
        return bool(self.doubt(stale_after_ms))

    def doubt(self, stale_after_ms: int) -> str:
        """Say why its power is unknown: it is silent, of unknown age, or says so; "" if known.

        An age is not known where a sample echoes no beacon of ours: its clock proves nothing.
        """
        if self.power_mw is None:
            return SILENT
        if self.age_ms is None:
            return "of unknown age"
        if self.age_ms > stale_after_ms:
            return SILENT
        return next((word for word in self.quality.split() if word in NOT_BELIEVED), "")


@dataclass(frozen=True, slots=True)
class RelayState:
    """One relay as it stands. `is_cut`: its load is cut off now; None where nobody has said yet.

    `since_ms`: for how long it has stood so (None: not known). `held_power_mw`: the last signed
    power of its load before it was cut, None where there is none. `is_failsafe` False: the device
    does not return to safe by itself, so no policy relies on it. `importance`: less gives way
    first. `shed_price_utok_per_kwh`: what its member asks for each kWh he goes without.
    `withheld`: why the market keeps its load cut, "" if it does not (`hub.balancing.supply`).
    `planned_mw`: what the market has scheduled for a battery now (`hub.balancing.agenda`).
    `unusable`: why no policy can count on it; it stays as it is, and draws what it draws. "": it
    can be switched.

    `wish`: what its node asks for a load that may wait (`messages.status`), "" for any other.

    With `setpoint` ("limit" or "battery") it is no contact but a power that the device behind meter
    `load` is told to keep. `is_cut`: one stands now, `setpoint_mw`, ordered `since_ms` ago.
    """

    node: str
    relay: str
    member: str
    load: str
    deenergised: str
    rated_mw: int
    is_critical: bool
    is_cut: bool | None
    since_ms: int | None
    held_power_mw: int | None
    min_on_ms: int = 0
    min_off_ms: int = 0
    is_failsafe: bool = True
    importance: int = 0
    shed_price_utok_per_kwh: int = 0
    withheld: str = ""
    unusable: str = ""
    setpoint: str = ""
    setpoint_mw: int | None = None
    planned_mw: int | None = None
    wish: str = ""

    @property
    def name(self) -> tuple[str, str]:
        """Node and relay: the order of ties."""
        return (self.node, self.relay)

    @property
    def min_fed_ms(self) -> int:
        """How long its load is fed at least: on NC that is its coil's time without current."""
        return self.min_off_ms if self.deenergised == "fed" else self.min_on_ms

    @property
    def min_cut_ms(self) -> int:
        """How long its load is cut at least."""
        return self.min_on_ms if self.deenergised == "fed" else self.min_off_ms

    def energised(self, *, cut: bool) -> bool:
        """What the coil must be for the load to be cut, or fed."""
        return cut != (self.deenergised == "cut")


@dataclass(frozen=True, slots=True)
class Feeder:
    """A line that several members hang on, and the most it may carry to them. [mW]"""

    name: str
    members: tuple[str, ...]
    power_mw_max: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What binds the microgrid as a whole; `hub.balancing.limits` reads it from a policy entry.

    `import_mw_max`: what the grid tie may bring in beyond the members' own generation; 0 on an
    island, below 0 what must be exported. `export_mw_max`: what it may take out, below 0 what must
    be imported; None: no limit. `reserve_mw`: what is never given to loads. `stale_after_ms`: older
    samples count as danger.
    """

    import_mw_max: int = 0
    stale_after_ms: int = 3_000
    reserve_mw: int = 0
    feeders: tuple[Feeder, ...] = ()
    export_mw_max: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """All that a policy may look at. Meters by meter id, relays by (node, relay)."""

    microgrid: str
    at_ms: int
    meters: tuple[MeterPower, ...]
    relays: tuple[RelayState, ...]
    limits: Limits = Limits()
    parameters: Mapping[str, int | str] = field(default_factory=dict)

    def dumps(self) -> bytes:
        """Return the view's body as it is kept beside the telemetry: canonical CBOR."""
        return schema.encode_record(self)

    @classmethod
    def loads(cls, raw: bytes) -> View:
        """Return the view that `dumps` wrote; raises MalformedMessage."""
        return schema.decode_record(cls, raw, limit=VIEW_BYTES_MAX)


class Order(NamedTuple):
    """What a policy wants of one relay, and why. `power_mw`: its load's last signed power.

    `setpoint_mw`: what a set-point is to stand at, None where none is to stand. `shift`: the wish
    of its node by which a load rests (`hub.balancing.shifting`), "" where it is no wish.
    """

    node: str
    relay: str
    member: str
    load: str
    energised: bool
    cut: bool
    power_mw: int | None
    reason: str
    setpoint_mw: int | None = None
    shift: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A policy's answer: an order for every relay, in relay order.

    `limit` and `rule` name what bound and which rule was used; `infeasible` says, member by member,
    what no relay can put right. `deficit_mw` above 0 is what the members want beyond what there
    is, below 0 what is left over: the balance request of paper 000.
    """

    orders: tuple[Order, ...]
    limit: str
    rule: str
    reason: str
    infeasible: tuple[str, ...] = ()
    deficit_mw: int = 0

    def changed(self, view: View) -> tuple[Order, ...]:
        """Return the orders that move a contact, or that speak of one nobody has heard of yet."""
        now = {relay.name: (relay.is_cut, relay.setpoint_mw) for relay in view.relays}
        return tuple(
            order
            for order in self.orders
            if now[order.node, order.relay] != (order.cut, order.setpoint_mw)
        )


class DispatchPolicy(Protocol):
    """A rule for relays. Add one: a file, a line in `catalog.py`, a test."""

    @property
    def name(self) -> str:
        """The name a policy entry calls it by."""

    def check(self, parameters: Mapping[str, int | str]) -> None:
        """Raise BadParameter unless the parameters can be used; asked before a policy is signed."""

    def decide(self, view: View) -> Verdict:
        """Say for every relay of the view whether its load is fed or cut. Never raises."""


def view_root(view: View) -> bytes:
    """Return the RFC 6962 root of a view: a leaf a meter, then a leaf a relay, then the limits.

    A leaf is the deterministic CBOR of the record's fields as a map, so that a member can show that
    his own meter was seen as it was, and no more.
    """
    parts: tuple[object, ...] = (*view.meters, *view.relays, view.limits)
    rest = {"microgrid": view.microgrid, "at_ms": view.at_ms, "parameters": dict(view.parameters)}
    bodies = [schema.encode_record(part) for part in parts]
    return tree.root([tree.leaf_hash(body) for body in (*bodies, cbor.encode(rest))])
