"""What contracts do with any call: find its method, read its arguments, take its fee."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from hub.market.arguments import Arguments
from hub.market.contract import COMMUNITY, CallRequest, CallResult, Transfer
from hub.market.errors import CallRefused
from hub.market.parameters import whole

AHEAD_SLOTS: Final = 96
"""How many slots ahead a call may speak of one."""
CALL_FEE_UTOK_MAX: Final = 10**12

Rules = TypeVar("Rules")
Methods = Mapping[str, Callable[[Rules, CallRequest, Arguments], CallResult]]


def fee_rule() -> Any:
    """A parameter: what a call costs; one that does not offer it is refused. [utok]"""
    return whole(0, 0, CALL_FEE_UTOK_MAX)


def serve(
    name: str, methods: Methods[Rules], rules: Rules, request: CallRequest, fee_utok: int = 0
) -> CallResult:
    """Serve a call by its method, or raise CallRefused. The fee goes to the community."""
    method = methods.get(request.method)
    if method is None:
        there = ", ".join(methods) or "none"
        raise CallRefused(f"{name} has no call {request.method!r}; there are: {there}")
    given = Arguments(request.method, request.arguments)
    offered = given.whole("fee_utok", 0, CALL_FEE_UTOK_MAX, default=0)
    if offered < fee_utok:
        raise CallRefused(f"the call lacks its fee: it offers {offered} utok of {fee_utok}")
    result = method(rules, request, given)
    given.check_used()
    fee = (Transfer(request.member, COMMUNITY, fee_utok, "fee of a call"),) if fee_utok else ()
    return CallResult((*fee, *result.transfers), result.memory, result.answer)


def slot_ahead(request: CallRequest, given: Arguments) -> int:
    """Return the slot that a call speaks of: the one that closes next, or one soon after."""
    slot_ms = given.whole("slot_ms", 0, 10**14)
    if slot_ms % request.length_ms:
        raise CallRefused(f"{slot_ms} is no slot's start")
    last_ms = request.slot_ms + AHEAD_SLOTS * request.length_ms
    if not request.slot_ms <= slot_ms <= last_ms:
        raise CallRefused(
            f"{request.method} is for one of the slots {request.slot_ms} to {last_ms}"
        )
    return slot_ms


def check_office(request: CallRequest, office: str) -> None:
    """Refuse a call by a key that does not hold an office."""
    if office not in request.roles:
        raise CallRefused(f"{request.method} takes a key with the office of {office}")


def check_account(request: CallRequest, member: str) -> None:
    """Refuse a call that names somebody who has no account yet."""
    if member not in request.balances:
        raise CallRefused(f"there is no account {member!r}")


def check_pays(request: CallRequest, amount_utok: int) -> None:
    """Refuse a call that the caller's account does not pay."""
    balance = request.balances.get(request.member, 0)
    if amount_utok > balance:
        raise CallRefused(f"your balance of {balance} utok does not pay {amount_utok}")
