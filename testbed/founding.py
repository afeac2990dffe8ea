"""Founds a simulated microgrid: keys, first entries, every device enrolled, by the real code.

The same functions as behind `gridtally-hub init`, `gridtally-edge keygen` and `gridtally-hub
enrol`, in one process, because ten programs would take ten seconds to start.
"""

from collections.abc import Iterable
from pathlib import Path

from edge.config import load_config as load_edge_config
from edge.keygen import make_keys, write_enrolment
from hub.code_id import code_id
from hub.config import load_config as load_hub_config
from hub.enrolment import read_enrolment
from hub.founding import Plan, found
from hub.ledger.records import NewEntry
from hub.ledger.store import Store
from hub.market.catalog import CONTRACTS
from hub.recorder import Recorder
from keys.file import load as load_key
from messages import cose
from messages.entries import Genesis, PolicyEntry, parse_entry, sign_entry
from messages.log.tree import leaf_hash
from testbed.errors import BadScenario
from testbed.installation import CLOSE_AFTER_MS, Installation
from testbed.layout import Layout

BALLAST_BYTES = 1 << 20


def found_microgrid(installation: Installation) -> None:
    """Make everything in the folder that a start needs.

    Raises:
        FoundingRefused: the folder holds an installation already.
        BadScenario: an entry would have no effect, so the scenario asks for what is not there.
    """
    folder, layout = installation.folder, installation.layout
    market = layout.scenario
    founded = found(
        folder,
        Plan(
            microgrid=market.microgrid,
            slot_ms=layout.slot_ms,
            close_after_ms=CLOSE_AFTER_MS,
            readings="open",
            simulation=True,
            policy=policy_entry(layout),
        ),
        layout.start_ms,
    )
    installation.write()
    administrator = load_key(folder / "keys" / "administrator.pem")
    enrolments = [
        sign_entry(administrator, entry, founded.trust.network_id)
        for node in layout.nodes
        for entry in read_enrolment(
            _keygen(installation.edge_toml(node.node)), market.microgrid
        ).entries
    ]
    database = load_hub_config(installation.hub_toml).database
    with Store.open(database, create=True, ballast_bytes=BALLAST_BYTES) as store:
        _append(Recorder(store, CONTRACTS), (*founded.entries, *enrolments))


def policy_entry(layout: Layout) -> PolicyEntry:
    """Return the policy that is in force from the first slot on."""
    market = layout.scenario.market
    return PolicyEntry(
        from_slot_ms=layout.start_ms,
        contract=market.contract,
        parameters={"deficit": market.deficit, "surplus": market.surplus},
        prices=tuple((price.minute, price.utok_per_kwh) for price in market.prices),
        feed_in=tuple((price.minute, price.utok_per_kwh) for price in market.feed_in),
        dispatch=market.dispatch,
        dispatch_parameters={},
        disclosure="open",
        code_id=code_id(),
    )


def _keygen(edge_toml: Path) -> str:
    config = load_edge_config(edge_toml)
    return write_enrolment(config, make_keys(config), edge_toml.parent).read_text("utf-8")


def _append(recorder: Recorder, entries: Iterable[bytes]) -> None:
    for raw in entries:
        envelope = cose.parse(raw)
        body = parse_entry(envelope)
        objection = recorder.objection(raw)
        if objection and not isinstance(body, Genesis):
            raise BadScenario(f"a {body.KIND} entry would have no effect: {objection}")
        recorder.record([NewEntry(raw, leaf_hash(raw), envelope.kid, body.KIND)])
