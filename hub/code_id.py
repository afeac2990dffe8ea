"""Which rules this program settles by: one hash over the source of the fold and its contracts.

A policy entry and each block header carry it, so that whoever recomputes a bill can tell whether he
does so with the same rules. It covers the files as they are installed, and those of contracts and
policies that other packages bring in.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

from hub.balancing.catalog import POLICIES
from hub.market.catalog import CONTRACTS
from messages import cbor

PACKAGES: Final = ("balancing", "core", "market", "market/contracts")
MODULES: Final = ("matching.py",)

Catalog = Mapping[str, Callable[[], Any]]


def code_id(contracts: Catalog = CONTRACTS, policies: Catalog = POLICIES) -> bytes:
    """Return SHA-256 of the deterministic CBOR [[path, source], ...], by path.

    Args:
        contracts: the market contracts in use, e.g. `hub.market.catalog.installed()`.
        policies: the dispatch policies in use.
    """
    sources = dict(_shipped(files("hub")))
    for group, ours, catalog in (
        ("contracts", CONTRACTS, contracts),
        ("policies", POLICIES, policies),
    ):
        for name in catalog.keys() - ours.keys():
            sources[f"{group}/{name}"] = _source_of(catalog[name])
    rows = [[path, source] for path, source in sorted(sources.items())]
    return hashlib.sha256(cbor.encode(rows)).digest()


def _shipped(hub: Traversable) -> Iterable[tuple[str, bytes]]:
    for package in PACKAGES:
        for item in hub.joinpath(package).iterdir():
            if item.name.endswith(".py"):
                yield f"hub/{package}/{item.name}", item.read_bytes()
    for name in MODULES:
        yield f"hub/{name}", hub.joinpath(name).read_bytes()


def _source_of(maker: Callable[[], Any]) -> bytes:
    module = inspect.getmodule(maker)
    return inspect.getsource(module or maker).encode()
