"""gridtally-verify bill: statements of a village in which much goes wrong, whole and changed."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.market.catalog import CONTRACTS
from member.bill import check_bill
from member.errors import Code, Refused
from member.heads import Anchor, anchor_of
from messages.errors import MessageError
from messages.jsontext import format_json
from messages.log.cosignature import cosign
from messages.log.note import COSIGNATURE, NoteKey, format_vkey, parse_note
from messages.reading import Reading
from messages.regulating import Regulation
from messages.statement import format_statement, parse_statement
from messages.trust import format_trust
from tests.support.demo_log import ask
from tests.support.signers import ed25519
from tests.support.village import KWH, Village, expect_effect
from tests.support.village_ledger import VKEY, statement_of, trust_of

METERS = {"a": "ann", "b": "bob", "c": "carl"}
Statement = dict[str, Any]


def story() -> Village:
    """Five hours of three members: deals, missing registers, late ones, one that began anew."""
    village = Village(signed=True)
    for meter, member in METERS.items():
        village.meter(meter, member, "net")
        village.read(meter, 0, 0, 0)
    village.meter("a-pv", "ann", "generation")
    village.meter("b-fridge", "bob", "appliance", parent="b")
    village.read("a-pv", 0, None, 0)
    village.read("b-fridge", 0, 0, None)
    village.read("a", 1, 0, 5 * KWH)
    village.read("b", 1, 3 * KWH + 7, 0)
    village.read("c", 1, KWH, KWH // 3)
    village.read("a-pv", 1, None, 12_345)
    village.read("b-fridge", 1, 500, None)
    settle(village, 0)
    village.read("a", 2, KWH, 5 * KWH + 3)
    village.read("c", 2, 2 * KWH, KWH // 3)
    village.read("a-pv", 2, None, 22_345)
    settle(village, 1, "timeout")  # b and its fridge are missing
    village.read("b", 3, 9 * KWH, KWH)  # what it did in slots 1 and 2
    village.read("b-fridge", 3, 1_500, None)
    village.read("a", 3, KWH, 5 * KWH + 4)
    village.read("c", 3, 2 * KWH, KWH)
    settle(village, 2, "timeout")  # a-pv is missing
    village.read("a-pv", 3, None, 222_345)
    village.epoch("a", 1, last_import_uwh=KWH, last_export_uwh=5 * KWH + 9, **began())
    village.read("a", 4, 1_000, 77, epoch=1)
    village.read("c", 4, 2 * KWH, KWH)
    village.read("b", 4, 9 * KWH, KWH)
    settle(village, 3, "timeout")
    village.read("a-pv", 4, None, 322_345)
    for meter, totals in {"a": (1_000, 78), "b": (9 * KWH, KWH), "c": (2 * KWH, KWH)}.items():
        village.read(meter, 5, *totals, epoch=int(meter == "a"))
    village.read("a-pv", 5, None, 422_345)
    settle(village, 4, "timeout")
    return village


def began() -> dict[str, int]:
    return {"first_import_uwh": 0, "first_export_uwh": 0}


def settle(village: Village, slot: int, reason: str = "complete") -> None:
    village.close(slot, reason)
    expect_effect(village.header())


@pytest.fixture(scope="module")
def village() -> Village:
    return story()


@pytest.fixture(scope="module")
def anchor(village: Village) -> Anchor:
    return anchor_of(format_trust(trust_of(village)), None, 0, None)


@pytest.fixture(scope="module")
def ann(village: Village, tmp_path_factory: pytest.TempPathFactory) -> Statement:
    """Ann's statement over slots 1 to 3, as JSON."""
    made = statement_of(village, tmp_path_factory.mktemp("ann"), "ann", 1, 4)
    found: Statement = json.loads(format_statement(made))
    return found


# --- whole statements ---------------------------------------------------------------------------


@pytest.mark.parametrize("account", [*METERS.values(), "@grid"])
@pytest.mark.parametrize(("first", "last"), [(0, 9), (0, 1), (1, 3), (2, 9), (3, 5), (4, 5)])
def test_every_statement_of_every_account_is_right(
    village: Village, anchor: Anchor, tmp_path: Path, account: str, first: int, last: int
) -> None:
    made = statement_of(village, tmp_path, account, first, last)
    assert len(made.blocks) == min(last, 5) - first
    assert made.closing_utok - made.opening_utok == sum(
        getattr(made.totals, name)
        for name in ("sales_utok", "purchases_utok", "corrections_utok", "transfers_utok")
    )
    verdict = check_bill(format_statement(made), anchor)
    assert verdict.facts["opening_proven"] is True
    assert verdict.facts["account"] == account
    if last >= 5:
        assert made.closing_utok == village.state.accounts[account]


def test_the_log_key_alone_is_enough(ann: Statement, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "ann.json"
    path.write_text(format_json(ann))
    told = ask(capsys, "bill", path, "--key", VKEY)
    assert told.code == 0
    assert told.facts["slots"] == 3
    assert told.verdict.startswith("ann, 1970-01-01T01:00Z to 1970-01-01T04:00Z: from 1.233335 to ")
    assert "2 of them from estimates" in told.verdict
    assert "nobody was asked whether it is final" in told.verdict


def test_nobody_elses_bill_is_in_a_statement(ann: Statement, village: Village) -> None:
    texts = set(strings(ann["blocks"]))
    assert {"ann", "bob"} <= texts
    assert "b" not in {source["meter_id"] for block in ann["blocks"] for source in block["sources"]}
    assert {line["account"] for block in ann["blocks"] for line in block["bill"]["lines"]} == {
        "ann"
    }
    assert village.state.accounts["carl"] not in {
        number for number in numbers(ann) if isinstance(number, int)
    }


def strings(value: Any) -> Iterator[str]:
    for _, leaf in leaves(value):
        if isinstance(leaf, str):
            yield leaf


def numbers(value: Any) -> Iterator[Any]:
    for _, leaf in leaves(value):
        yield leaf


# --- changed ones -------------------------------------------------------------------------------

Path_ = tuple[str | int, ...]


def leaves(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Yield every value of a JSON document that is no map or list, with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from leaves(item, (*path, place))
    else:
        yield path, value


def lists(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from lists(item, (*path, key))
    elif isinstance(value, list):
        if value:
            yield path
        for place, item in enumerate(value):
            yield from lists(item, (*path, place))


def other(value: Any) -> Any:
    """Return a value of the same type that is another one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if value is None:
        return 1
    return ("A" if value[:1] != "A" else "B") + value[1:]


def changed(statement: Statement, path: Path_, change: Callable[[Any], Any]) -> Statement:
    twin = copy.deepcopy(statement)
    place = twin
    for step in path[:-1]:
        place = place[step]  # type: ignore[index]
    place[path[-1]] = change(place[path[-1]])  # type: ignore[index]
    return twin


def holds(statement: Statement, anchor: Anchor) -> bool:
    try:
        check_bill(format_json(statement), anchor)
    except (Refused, MessageError):
        return False
    return True


def test_no_single_value_can_be_changed(ann: Statement, anchor: Anchor) -> None:
    assert holds(ann, anchor)
    taken = [path for path, _ in leaves(ann) if holds(changed(ann, path, other), anchor)]
    assert taken == []


def test_nothing_can_be_left_out_or_told_twice(ann: Statement, anchor: Anchor) -> None:
    taken = []
    for path in lists(ann):
        for change in (
            lambda rows: rows[1:],
            lambda rows: rows[:-1],
            lambda rows: [*rows, rows[0]],
        ):
            if holds(changed(ann, path, change), anchor):
                taken.append(path)
    assert taken == []


# --- a hub that lies ------------------------------------------------------------------------------
#
# Everything below is signed by the right keys and hangs together: results, headers, log. Only the
# numbers are wrong, each in its own way, as a hub would have them that settles by other rules.


def one_more(real: Callable[..., int]) -> Callable[..., int]:
    return lambda *given: real(*given) + 1


def _positions(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given: tuple(
        row._replace(consumed_uwh=row.consumed_uwh + 1) for row in real(*given)
    )


def _secret_fee(real: Callable[..., None]) -> Callable[..., None]:
    def book(draft: Any, rows: Any) -> None:
        real(draft, rows)
        draft.put("account", "ann", draft.balance("ann") - 1)
        draft.put("account", "@grid", draft.balance("@grid") + 1)

    return book


def _invented(real: Callable[..., Any]) -> Callable[..., Any]:
    def estimate(*given: Any) -> Any:
        row = real(*given)
        return row._replace(import_uwh=row.import_uwh + 7)

    return estimate


def _no_relation(real: Callable[..., Any]) -> Callable[..., Any]:
    def pay(*given: Any) -> Any:
        return [line._replace(counterparty="@supplier") for line in real(*given)]

    return pay


LIES: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "amounts": ("hub.market.rounding.half_even", one_more, "utok says"),
    "energy": ("hub.core.energy._growth", one_more, "the registers give"),
    "price": ("hub.core.pricing.price_at", one_more, "the policy sets"),
    "position": ("hub.core.closing.positions_of", _positions, "the meters show"),
    "a fee nobody is told": ("hub.core.draft.Draft.book", _secret_fee, "something is left out"),
    "estimates": ("hub.core.closing._estimate", _invented, "estimated at"),
    "corrections": ("hub.core.energy.correction", _no_relation, "does not follow"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_hub_that_settles_by_other_rules_is_caught(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lie: str
) -> None:
    target, change, words = LIES[lie]
    owner, name = target.rsplit(".", 1)
    real = resolve(target)
    monkeypatch.setattr(resolve(owner), name, change(real))
    village = story()
    made = format_statement(statement_of(village, tmp_path, "ann"))
    anchor = anchor_of(format_trust(trust_of(village)), None, 0, None)
    with pytest.raises(Refused, match=words) as caught:
        check_bill(made, anchor)
    assert caught.value.code == Code.ARITHMETIC


def resolve(name: str) -> Any:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


class Dear:
    """The balancing market, at prices of its own."""

    name = "dep_balance"

    def __init__(self) -> None:
        self._real = CONTRACTS["dep_balance"]()

    def check(self, parameters: Any) -> None:
        self._real.check(parameters)

    def clear(self, book: Any, budget: Any) -> Any:
        clearing = self._real.clear(book, budget)
        matches = tuple(row._replace(price_utok_per_kwh=1) for row in clearing.matches)
        return replace(clearing, matches=matches)

    def call(self, request: Any, budget: Any) -> Any:
        return self._real.call(request, budget)


def check_one_hour(village: Village, folder: Path) -> None:
    for meter, member in METERS.items():
        village.meter(meter, member, "net")
        village.read(meter, 0, 0, 0)
    village.read("a", 1, 0, KWH)
    village.read("b", 1, KWH, 0)
    village.read("c", 1, 0, 0)
    settle(village, 0)
    made = format_statement(statement_of(village, folder, "ann"))
    check_bill(made, anchor_of(format_trust(trust_of(village)), None, 0, None))


def test_a_market_with_prices_of_its_own_is_caught_where_the_rule_fixes_them(
    tmp_path: Path,
) -> None:
    village = Village(signed=True, contracts={"dep_balance": Dear})
    with pytest.raises(Refused, match="the tariff is 300000, the match has 1"):
        check_one_hour(village, tmp_path)


BOUNDS = Regulation(floor_utok_per_kwh=100_000, cap_utok_per_kwh=200_000, fee_utok_per_kwh=5)


@pytest.mark.parametrize("contract", ["dep_balance", "commission"])
def test_bills_under_the_regulators_rules_are_right(tmp_path: Path, contract: str) -> None:
    check_one_hour(Village(signed=True, contract=contract, regulation=BOUNDS), tmp_path)


def test_a_hub_that_does_not_bind_its_market_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.core.clearing.regulated", lambda _book, clearing: clearing)
    monkeypatch.setattr("hub.core.clearing.check_clearing", lambda _book, _clearing: None)
    village = Village(signed=True, contracts={"dep_balance": Dear}, regulation=BOUNDS)
    with pytest.raises(Refused, match="a match at 1 leaves floor and cap, 100000 and 200000"):
        check_one_hour(village, tmp_path)


def test_a_failed_contract_is_settled_with_the_grid_and_told(tmp_path: Path) -> None:
    village = Village(signed=True, contracts={})
    village.meter("a", "ann", "net")
    village.read("a", 0, 0, 0)
    village.read("a", 1, 0, KWH)
    settle(village, 0)
    made = statement_of(village, tmp_path, "ann")
    anchor = anchor_of(format_trust(trust_of(village)), None, 0, None)
    assert check_bill(format_statement(made), anchor).facts["lines"] == 1
    assert made.blocks[0].slot.failure == "no contract 'dep_balance' is installed here"


@pytest.mark.parametrize("who", ["b", "bob"])
def test_entries_that_had_no_right_prove_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, who: str
) -> None:
    """Registers that another meter signed, and a policy of an ordinary member."""
    monkeypatch.setattr("hub.core.step.objection", lambda _state, _event: None)
    village = Village(signed=True)
    bob = village.person("bob")
    for meter, member in METERS.items():
        village.meter(meter, member, "net")
        village.read(meter, 0, 0, 0)
    if who == "bob":
        administrator, village.administrator = village.administrator, bob
        village.policy()
        village.administrator = administrator
    village.read("b", 1, 0, 0)
    signer = ed25519("b" if who == "b" else "a")
    village.put(signer, Reading("village", "a", 3, village.slot_ms, 0, KWH))
    village.read("c", 1, 0, 0)
    settle(village, 0)
    made = format_statement(statement_of(village, tmp_path, "ann"))
    anchor = anchor_of(format_trust(trust_of(village)), None, 0, None)
    with pytest.raises(Refused, match=f"is for {who} to sign") as caught:
        check_bill(made, anchor)
    assert caught.value.code == Code.SIGNATURE


# --- heads --------------------------------------------------------------------------------------


def test_a_statement_is_final_when_its_head_is(ann: Statement, village: Village) -> None:
    witness = ed25519("w1")
    vkey = format_vkey(NoteKey("example.org/w1", COSIGNATURE, witness.public))
    policy = f"log {VKEY}\nwitness w1 {vkey}\nquorum w1\n"
    text = format_trust(replace(trust_of(village), policy=policy))
    with pytest.raises(Refused, match="not final: cosigned by nobody") as caught:
        check_bill(format_json(ann), anchor_of(text, None, 0, None))
    assert caught.value.code == Code.POLICY
    line = cosign(parse_note(ann["checkpoint"]).text, 1_000, "example.org/w1", witness)
    signed = ann | {"checkpoint": ann["checkpoint"] + line}
    verdict = check_bill(format_json(signed), anchor_of(text, None, 1_060, 60))
    assert verdict.sentence.endswith("final: cosigned by example.org/w1 60 s ago")
    with pytest.raises(Refused, match="stale") as caught:
        check_bill(format_json(signed), anchor_of(text, None, 1_061, 60))
    assert caught.value.code == Code.STALE


def test_a_statement_of_another_network_is_foreign(ann: Statement, village: Village) -> None:
    text = format_trust(replace(trust_of(village), network_id=bytes(32)))
    with pytest.raises(Refused, match="another network") as caught:
        check_bill(format_json(ann), anchor_of(text, None, 0, None))
    assert caught.value.code == Code.FOREIGN


@pytest.mark.parametrize(
    "broken", ["", "{}\n", '{"format":"gridtally-statement-2"}\n', '{"format":1}\n', "[1]\n"]
)
def test_another_file_is_no_statement(anchor: Anchor, broken: str) -> None:
    with pytest.raises(MessageError, match=r"no statement|JSON"):
        check_bill(broken, anchor)


def test_what_was_told_reads_back(village: Village, tmp_path: Path) -> None:
    made = statement_of(village, tmp_path, "bob", 1, 4)
    assert parse_statement(format_statement(made)) == made
