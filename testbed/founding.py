"""Founds a simulated microgrid: keys, first entries, every device enrolled, by the real code.

What `gridtally-hub init`, `gridtally-edge keygen` and `gridtally-hub enrol` call, in one process:
ten programs would take ten seconds to start.
"""

from pathlib import Path

from edge.config import load_config as load_edge_config
from edge.keygen import make_keys, write_enrolment
from hub.balancing.catalog import installed as installed_policies
from hub.commands.enrolling import found_installation, hand_over, sign_as_administrator
from hub.commands.founding import Plan
from hub.config import load_config as load_hub_config
from hub.joining.enrolment import read_enrolment
from hub.market.catalog import installed as installed_contracts
from hub.policyfile import policy_entry, policy_fault
from messages.entries import PolicyEntry
from testbed.errors import BadScenario
from testbed.installation import CLOSE_AFTER_MS, Installation
from testbed.layout import Layout
from testbed.trading import has_book, member_keys


def found_microgrid(installation: Installation) -> None:
    """Make everything in the folder that a start needs.

    Raises:
        FoundingRefused: the folder holds an installation already.
        BadScenario: its policy or its devices cannot be entered.
    """
    layout = installation.layout
    plan = Plan(
        microgrid=layout.scenario.microgrid,
        slot_ms=layout.slot_ms,
        close_after_ms=CLOSE_AFTER_MS,
        readings=layout.scenario.readings,
        simulation=True,
        policy=_policy(layout),
    )
    found_installation(installation.folder, plan, layout.start_ms)
    installation.write()
    config = load_hub_config(installation.hub_toml)
    entries = [
        entry
        for node in layout.nodes
        for entry in read_enrolment(
            _keygen(installation.edge_toml(node.node)), config.microgrid
        ).entries
    ]
    if has_book(layout):
        entries += member_keys(installation)
    for entry, reason in zip(
        entries, hand_over(config, sign_as_administrator(config, entries)), strict=True
    ):
        if reason:
            raise BadScenario(f"{entry.holder} {entry.name} was not enrolled: {reason}")


def _policy(layout: Layout) -> PolicyEntry:
    contracts, policies = installed_contracts(), installed_policies()
    entry = policy_entry(layout.scenario.policy, layout.start_ms, contracts, policies)
    fault = policy_fault(entry, contracts, policies)
    if fault:
        raise BadScenario(f"[policy] of the scenario: {fault}")
    return entry


def _keygen(edge_toml: Path) -> str:
    config = load_edge_config(edge_toml)
    return write_enrolment(config, make_keys(config), edge_toml.parent).read_text("utf-8")
