"""Which market contracts there are: one line each.

A laboratory's own contract needs no fork: a package that names it under the entry-point group
`gridtally.contracts` (name = "module:Class") is found by `installed`. The code id of the policy
covers it, so replicas without that package say so instead of settling differently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Final

from hub.market.contract import Contract
from hub.market.contracts.choose_producer import ChooseProducer
from hub.market.contracts.commission import Commission
from hub.market.contracts.community_pool import CommunityPool
from hub.market.contracts.day_ahead import DayAhead
from hub.market.contracts.dep_balance import DepBalance
from hub.market.contracts.double_auction import DoubleAuction
from hub.market.contracts.energy_token import EnergyToken
from hub.market.contracts.generation_coin import GenerationCoin
from hub.market.contracts.green_forecast import GreenForecast
from hub.market.contracts.hybrid_p2p import HybridP2P
from hub.market.contracts.listing import Listing
from hub.market.contracts.local_coin import LocalCoin
from hub.market.contracts.pooled_auction import PooledAuction
from hub.market.contracts.prepaid import Prepaid
from hub.market.contracts.storage_escrow import StorageEscrow
from hub.market.contracts.storage_transfer import StorageTransfer
from hub.market.contracts.tenant_share import TenantShare
from hub.market.errors import UnknownContract

GROUP: Final = "gridtally.contracts"

CONTRACTS: Final[Mapping[str, Callable[[], Contract]]] = {
    "choose_producer": ChooseProducer,
    "commission": Commission,
    "community_pool": CommunityPool,
    "day_ahead": DayAhead,
    "dep_balance": DepBalance,
    "double_auction": DoubleAuction,
    "energy_token": EnergyToken,
    "generation_coin": GenerationCoin,
    "green_forecast": GreenForecast,
    "hybrid_p2p": HybridP2P,
    "listing": Listing,
    "local_coin": LocalCoin,
    "pooled_auction": PooledAuction,
    "prepaid": Prepaid,
    "storage_escrow": StorageEscrow,
    "storage_transfer": StorageTransfer,
    "tenant_share": TenantShare,
}


def contract(name: str, catalog: Mapping[str, Callable[[], Contract]] = CONTRACTS) -> Contract:
    """Return a new contract of that name; raises UnknownContract naming those there are."""
    if name not in catalog:
        raise UnknownContract(f"no contract {name!r}; there are {', '.join(sorted(catalog))}")
    return catalog[name]()


def installed() -> Mapping[str, Callable[[], Contract]]:
    """Return our contracts and those of installed packages; ours win a clash of names.

    Reads package metadata: call it once at start and pass the result on.
    """
    found = {point.name: point.load() for point in entry_points(group=GROUP)}
    return {**found, **CONTRACTS}
