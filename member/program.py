"""`gridtally-member`: what a member asks a hub for, signed on the member's own machine."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from keys.errors import KeyFault
from keys.stores import open_signer
from member import banking, contesting, ordering
from member.calling import CASES, HubClient, Value
from member.errors import HubAway, HubRefused
from messages import cose
from messages.errors import MessageError
from messages.jsontext import format_json
from messages.reading import decode_reading
from messages.trust import parse_trust

ABOUT: Final = """\
Asks a hub's web process for what is yours, or was granted to you. Each request is signed here by
your key, which stays here, and stands on the ledger afterwards, served or refused. What comes back
only you can open, and it is checked against the ledger.

    gridtally-member get RECORD --hub http://127.0.0.1:8088 --key ann.pem --trust trust.toml
    gridtally-member grant bill --to bob --until-ms 1795258800000 --key ann.pem
    gridtally-member view slots --key ann.pem
    gridtally-member dispute ann.json 2026-11-21T12:00Z 1 --reason "meter swapped" --key ann.pem

To trade, with the words of gridtally-hub order (docs/orders.md):

    gridtally-member bid 250000 --slot next --key ann.pem
    gridtally-member orders --key ann.pem
"""
EXITS: Final = """\
exit codes: 0 all is well, 2 wrong usage, 65 what came is not what the ledger has, 69 no hub there,
74 a file cannot be read, 77 the hub refused
"""
HUB: Final = "http://127.0.0.1:8088"
DAY_MS: Final = 86_400_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = parser().parse_args(arguments)
    try:
        trust = parse_trust(Path(options.trust).read_text(encoding="utf-8"))
        options.serve(HubClient(options.hub, open_signer(options.key), trust), options)
    except HubRefused as error:
        return _failed(f"refused: {error}", os.EX_NOPERM)
    except HubAway as error:
        return _failed(str(error), os.EX_UNAVAILABLE)
    except (OSError, UnicodeDecodeError, KeyFault) as error:
        return _failed(str(error), os.EX_IOERR)
    except MessageError as error:
        return _failed(f"not what the ledger has: {error}", os.EX_DATAERR)
    except ValueError as error:
        return _failed(str(error), 2)
    return 0


def run() -> None:
    """Be the program."""
    sys.exit(main())


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(
        prog="gridtally-member",
        description=ABOUT,
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(title="what to ask for", metavar="COMMAND", required=True)
    verb = _verb(verbs, "view", _view, "Print what you may see, as JSON: all of your own.")
    verb.add_argument(
        "name", metavar="NAME", nargs="?", default="picture", help="picture, members, ... or slots."
    )
    verb = _verb(verbs, "get", _get, "Write a record to standard output.")
    verb.add_argument("record", metavar="RECORD", type=_record, help="Its id: 64 hex digits.")
    verb.add_argument("--case", default="", help="The regulator's case to read it under.")
    verb = _verb(verbs, "readings", _readings, "Print what a meter's sealed readings say.")
    verb.add_argument("meter", metavar="METER", help="The meter.")
    verb.add_argument("--from", dest="start", type=_instant, required=True, help="With its zone.")
    verb.add_argument("--to", dest="end", type=_instant, required=True, help="At most 31 days on.")
    verb.add_argument("--case", default="", help="The regulator's case to read them under.")
    _grants(verbs)
    verb = _verb(verbs, "erase", _erase, "Erase a record of yours for good.")
    verb.add_argument("record", metavar="RECORD", type=_record, help="Its id: 64 hex digits.")
    ordering.add_verbs(partial(_verb, verbs), _instant)
    contesting.add_verbs(partial(_verb, verbs), _instant)
    banking.add_verbs(partial(_verb, verbs))
    _cases(verbs)
    return top


def _grants(verbs: Any) -> None:
    verb = _verb(verbs, "grant", _grant, "Let a member read a record, or all of a purpose.")
    verb.add_argument("what", metavar="WHAT", help="A record's id, a purpose, or reading.")
    verb.add_argument("--to", required=True, metavar="MEMBER", help="Who may read.")
    verb.add_argument("--until-ms", type=int, required=True, help="The last slot it holds in.")
    verb = _verb(verbs, "revoke", _revoke, "Take a grant back.")
    verb.add_argument("what", metavar="WHAT", help="A record's id, a purpose, or reading.")
    verb.add_argument("--to", required=True, metavar="MEMBER", help="Who may no longer read.")


def _cases(verbs: Any) -> None:
    verb = _verb(verbs, "case-open", _open, "Open a regulator's case on a pseudonym.")
    verb.add_argument("case", metavar="CASE", help="A name that no case had: a-z, 0-9 and -.")
    verb.add_argument("--subject", required=True, help="The pseudonym, as m-7kq2-hx5p.")
    verb.add_argument("--reason", required=True, help="It stays on the ledger.")
    verb.add_argument("--days", type=int, default=14, help="How long it stays open, 1 to 92.")
    verb.add_argument("--embargo-days", type=int, default=0, help="The owner is not told so long.")
    verb.add_argument("--slot-ms", type=int, help="Where each slot has its own: that of the name.")
    verb = _verb(verbs, "identity", _identity, "Say who is behind the pseudonym of your case.")
    verb.add_argument("case", metavar="CASE", help="The case's name.")
    verb = _verb(verbs, "case-close", _close, "Close your case; its owner is told.")
    verb.add_argument("case", metavar="CASE", help="The case's name.")


def _verb(verbs: Any, name: str, serve: Any, about: str) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=about, description=about)
    verb.add_argument("--key", required=True, help="Your key, which signs: a file, or another.")
    verb.add_argument("--hub", default=HUB, metavar="URL", help="Where the hub's page is.")
    verb.add_argument("--trust", default="trust.toml", metavar="FILE", help="The network's file.")
    verb.set_defaults(serve=serve)
    return verb


def _view(hub: HubClient, options: argparse.Namespace) -> None:
    path = "slots?limit=24" if options.name == "slots" else options.name
    print(format_json(hub.view(path)), end="")


def _get(hub: HubClient, options: argparse.Namespace) -> None:
    sys.stdout.buffer.write(hub.record(options.record, options.case))
    sys.stdout.buffer.flush()


def _readings(hub: HubClient, options: argparse.Namespace) -> None:
    found = hub.readings(options.meter, options.start, options.end, options.case)
    print("entry,at_ms,import_uwh,export_uwh")
    for each in found:
        said = decode_reading(cose.open_sealed(cose.parse(each.entry), each.preimage))
        totals = [said.import_uwh, said.export_uwh]
        print(each.index, said.at_ms, *["" if uwh is None else uwh for uwh in totals], sep=",")


def _grant(hub: HubClient, options: argparse.Namespace) -> None:
    until = {"until_slot_ms": options.until_ms}
    hub.ask("grant", {"what": options.what, "grantee": options.to, **until})


def _revoke(hub: HubClient, options: argparse.Namespace) -> None:
    hub.ask("revoke", {"what": options.what, "grantee": options.to})


def _erase(hub: HubClient, options: argparse.Namespace) -> None:
    hub.ask("erase", {"record": options.record})


def _open(hub: HubClient, options: argparse.Namespace) -> None:
    now_ms = hub.view("clock")["next_slot_ms"]
    asked: dict[str, Value] = {
        "case": options.case,
        "subject": options.subject,
        "reason": options.reason,
        "until_slot_ms": now_ms + options.days * DAY_MS,
    }
    if options.embargo_days:
        asked["embargo_slot_ms"] = now_ms + options.embargo_days * DAY_MS
    if options.slot_ms is not None:
        asked["slot_ms"] = options.slot_ms
    hub.ask("open", asked, CASES)


def _close(hub: HubClient, options: argparse.Namespace) -> None:
    hub.ask("close", {"case": options.case}, CASES)


def _identity(hub: HubClient, options: argparse.Namespace) -> None:
    print(hub.ask("identify", {"case": options.case}, CASES).answer["owner"])


def _record(text: str) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != 32:
        raise ValueError("a record's id has 64 hex digits")
    return found


def _instant(text: str) -> int:
    """Return milliseconds: given as such, or as a time with its zone."""
    if text.isdecimal():
        return int(text)
    found = datetime.fromisoformat(text)
    if found.utcoffset() is None:
        raise ValueError(f"{text} lacks its zone: append Z for UTC")
    return int(found.timestamp()) * 1000


def _failed(why: str, code: int) -> int:
    print(f"gridtally-member: {why}", file=sys.stderr)
    return code
