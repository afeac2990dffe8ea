"""A member's account with the bank, from his own machine: the verbs of `gridtally-member`.

The same words as `gridtally-hub bank`, over HTTP, by the member's own key.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from member.calling import HubClient
from messages.banking import CONTRACT, DEPOSIT, PAYOUT, WITHDRAW
from messages.jsontext import format_json


def add_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the verbs about the bank; `verb(name, serve, about)` adds one."""
    verb("bank", _view, "Print your account, what of it waits to be paid out, and when that is.")
    one = verb("bank-payout", _payout, "Ask to be paid out; it replaces what you asked before.")
    one.add_argument("amount_utok", metavar="AMOUNT", type=int, help="How much. [utok]")
    verb("bank-withdraw", _withdraw, "Take back that you asked to be paid out.")
    one = verb("bank-deposit", _deposit, "Mint tokens against a member's deposit, as the bank.")
    one.add_argument("member", metavar="MEMBER", help="Whose deposit.")
    one.add_argument("amount_utok", metavar="AMOUNT", type=int, help="How much. [utok]")


def _view(hub: HubClient, _options: argparse.Namespace) -> None:
    print(format_json(hub.view("bank")), end="")


def _payout(hub: HubClient, options: argparse.Namespace) -> None:
    served = hub.ask(PAYOUT, {"amount_utok": options.amount_utok}, CONTRACT)
    print(format_json(dict(served.answer)), end="")


def _withdraw(hub: HubClient, _options: argparse.Namespace) -> None:
    hub.ask(WITHDRAW, {}, CONTRACT)


def _deposit(hub: HubClient, options: argparse.Namespace) -> None:
    asked: dict[str, int | str | bytes | bool] = {
        "member": options.member,
        "amount_utok": options.amount_utok,
    }
    hub.ask(DEPOSIT, asked, CONTRACT)
