"""What a run came to, for a person: sales, bills, curtailment, and why to believe it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from testbed.accounts import REGISTER, TELEMETRY, Accounts
from testbed.figures import Hour, sparkline
from testbed.layout import Layout
from testbed.results import Results, Verdict

UWH_PER_WH = 1_000_000
UWH_PER_KWH = 1_000_000_000
UTOK_PER_TOKEN = 1_000_000
MEMBERS_SHOWN = 20
SALES_SHOWN = 12
SHED_SHOWN = 12
HOURS_SHOWN = 96
KWH_FROM_UWH = 10_000 * UWH_PER_WH


def energy(uwh: int) -> str:
    """Return an energy for reading: Wh below 10 kWh, else kWh."""
    if abs(uwh) < KWH_FROM_UWH:
        return f"{uwh / UWH_PER_WH:,.2f} Wh"
    return f"{uwh / UWH_PER_KWH:,.2f} kWh"


def money(utok: int) -> str:
    """Return an amount in tokens, with its sign."""
    return f"{utok / UTOK_PER_TOKEN:+,.6f}"


def hour_text(slot_ms: int) -> str:
    """Return a slot's start as people write it. [UTC]"""
    return datetime.fromtimestamp(slot_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def show(
    console: Console,
    layout: Layout,
    results: Results,
    hours: Mapping[str, Sequence[Hour]],
) -> None:
    """Print the whole summary."""
    console.rule(f"[bold]{layout.scenario.title}[/] · {len(results.settled)} slots · SIMULATION")
    if layout.scenario.scale:
        console.print(f"Scale: {layout.scenario.scale}.", highlight=False)
    console.print(_sales(results))
    console.print(_bills(results, hours))
    if results.curtailed_uwh:
        console.print(_curtailed(layout, results))
    if layout.slots <= HOURS_SHOWN:
        show_figures(console, hours)


def _sales(results: Results) -> Table:
    table = Table(title="Who sold to whom", title_justify="left")
    for name in ("seller", "buyer"):
        table.add_column(name)
    for name in ("energy", "tokens"):
        table.add_column(name, justify="right")
    sales = sorted(results.sales().items(), key=lambda sale: -sale[1][0])
    for (seller, buyer), (uwh, utok) in sales[:SALES_SHOWN]:
        table.add_row(seller, buyer, energy(uwh), f"{utok / UTOK_PER_TOKEN:,.6f}")
    rest = sales[SALES_SHOWN:]
    if rest:
        more_uwh, more_utok = sum(s[1][0] for s in rest), sum(s[1][1] for s in rest)
        amount = f"{more_utok / UTOK_PER_TOKEN:,.6f}"
        table.add_row(f"{len(rest)} other pairs", "", energy(more_uwh), amount)
    table.add_section()
    table.add_row("all", "", energy(results.matched_uwh), "")
    return table


def _bills(results: Results, hours: Mapping[str, Sequence[Hour]]) -> Table:
    table = Table(title="What each receives (+) or pays (-)", title_justify="left")
    table.add_column("account")
    for name in ("generated", "used", "bought", "sold", "curtailed", "tokens"):
        table.add_column(name, justify="right")
    balances = results.balances()
    for member in list(hours)[:MEMBERS_SHOWN]:
        rows = hours[member]
        sums = [
            sum(getattr(row, name) for row in rows)
            for name in (
                "generated_uwh",
                "consumed_uwh",
                "bought_uwh",
                "sold_uwh",
                "curtailed_uwh",
            )
        ]
        table.add_row(member, *map(energy, sums), money(balances.get(member, 0)))
    if len(hours) > MEMBERS_SHOWN:
        table.add_row(f"{len(hours) - MEMBERS_SHOWN} more members: see figures/")
    for account, utok in balances.items():
        if account not in hours:
            table.add_row(account, "", "", "", "", "", money(utok))
    table.add_section()
    table.add_row("sum", "", "", "", "", "", money(results.settlement_sum_utok))
    return table


def _curtailed(layout: Layout, results: Results) -> Table:
    table = Table(title="What was curtailed, by opening relays", title_justify="left")
    table.add_column("slot", justify="right")
    table.add_column("from (UTC)")
    table.add_column("member")
    for name in ("wanted", "had", "curtailed"):
        table.add_column(name, justify="right")
    rows = [(slot, row) for slot in results.settled for row in slot.curtailments]
    for slot, row in rows[:SHED_SHOWN]:
        number = (slot.slot_ms - layout.start_ms) // layout.slot_ms
        table.add_row(
            str(number),
            hour_text(slot.slot_ms),
            row.member,
            energy(row.wanted_uwh),
            energy(row.had_uwh),
            energy(row.curtailed_uwh),
        )
    if len(rows) > SHED_SHOWN:
        rest = sum(row.curtailed_uwh for _, row in rows[SHED_SHOWN:])
        table.add_row("", f"{len(rows) - SHED_SHOWN} more", "", "", "", energy(rest))
    table.add_section()
    table.add_row("", "all", "", "", "", energy(results.curtailed_uwh))
    return table


def show_figures(console: Console, hours: Mapping[str, Sequence[Hour]]) -> None:
    """Print each member's hours without and with balancing, one bar a slot."""
    top = max(
        (max(r.generated_uwh, r.wanted_uwh) for rows in hours.values() for r in rows), default=0
    )
    console.print(f"\nEach slot a bar, full height is {energy(top)}:", highlight=False)
    for member, rows in list(hours.items())[:MEMBERS_SHOWN]:
        lines = (
            ("made", [row.generated_uwh for row in rows]),
            ("wanted (without balancing)", [row.wanted_uwh for row in rows]),
            ("used (with balancing)", [row.consumed_uwh for row in rows]),
            ("bought from neighbours", [row.bought_uwh for row in rows]),
            ("sold to neighbours", [row.sold_uwh for row in rows]),
            ("curtailed", [row.curtailed_uwh for row in rows]),
        )
        console.print(f"[bold]{member}[/]")
        for name, values in lines:
            console.print(f"  {name:<27}[cyan]{sparkline(values, top)}[/]", highlight=False)


def show_verdict(console: Console, accounts: Accounts, verdict: Verdict) -> None:
    """Print why the summary can be believed."""
    signed, stored = accounts.signed, accounts.stored
    console.print(
        f"\n{signed[REGISTER]:,} register readings signed, {stored[REGISTER]:,} on the ledger; "
        f"{stored[TELEMETRY]:,} telemetry packs sealed; {len(accounts.lost)} lost, "
        f"{accounts.duplicated} twice, {verdict.refused} refused.",
        highlight=False,
    )
    word = (
        "[bold green]ledger verified[/]" if verdict.verified else "[bold red]LEDGER NOT VERIFIED[/]"
    )
    console.print(
        f"{word}, {verdict.tree_size:,} entries, root {verdict.root.hex()} (unwitnessed).",
        highlight=False,
        soft_wrap=True,
    )
