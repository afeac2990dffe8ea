"""The commands about who takes part: pair, mosquitto, members, key rotate, key revoke, key role."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.commands.terminal import fail, loaded, log_to_stderr, told
from hub.config import HubConfig
from messages.entries import KeyEntry

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The hub's configuration file.", metavar="FILE")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: I have compared.")]
HERE: Final = Path("hub.toml")
HOLDERS: Final = "node, meter, feeder or member"

keys = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Change whose key counts, and for what: signed by the administrator's key.",
)


def add_to(app: typer.Typer) -> None:
    """Add the commands to a program."""
    app.command(short_help="Let a node join, by a text that it is given.")(pair)
    app.command(short_help="Write what Mosquitto needs for TLS.")(mosquitto)
    app.command(short_help="Who takes part, with keys, roles, addresses.")(members)
    app.add_typer(keys, name="key")


def pair(
    node: Annotated[str, typer.Argument(help="The name that the node will have.", metavar="NODE")],
    *,
    member: Annotated[
        str, typer.Option(help="Whose node it is; without it edge.toml says.", metavar="NAME")
    ] = "",
    minutes: Annotated[int, typer.Option(help="How long the text is good.", min=1, max=60)] = 15,
    host: Annotated[
        str, typer.Option(help="How the node reaches this machine.", metavar="HOST")
    ] = "",
    port: Annotated[
        int, typer.Option(help="Where to listen meanwhile; 0: any.", min=0, max=65_535)
    ] = 8890,
    config: Config = HERE,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not compare: for tests only.")
    ] = False,
) -> None:
    """Show a pairing text and its QR code, and wait until that node has joined.

    Give the text to `gridtally-edge join` on the node. Then compare the fingerprint shown here with
    the one shown there, and say yes. The node is enrolled with its meters and relays, and gets its
    certificate for the broker. The text is good for this node, once; it ends with this command.

      gridtally-hub pair dep1 --member alice

      gridtally-hub pair dep1 --member alice --host hub.local --minutes 5
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.joining.mosquitto import RELOAD
        from hub.joining.pairing import Pairing, Plan, check_host, own_host
        from hub.joining.screen import joining_lines, show_code
        from hub.joining.window import Joining
        from messages.topics import check_name

        settings = loaded(config)
        check_name(node, "node")
        if member:
            check_name(member, "member")
        plan = Plan(node, member, minutes, check_host(host or own_host()), port)

        def confirm(joining: Joining, peer: str) -> bool:
            for line in joining_lines(joining, peer):
                print(line, file=sys.stderr)
            return yes or typer.confirm("Does the node show this fingerprint?", err=True)

        with Pairing(settings, plan) as pairing:
            print(pairing.text, flush=True)
            show_code(pairing.text)
            print(f"waiting {minutes} min for node {node}; Ctrl-C ends it", file=sys.stderr)
            paired = pairing.wait(lambda text: print(text, file=sys.stderr), confirm)
        for line in paired.lines:
            print(line)
        if paired.must_reload:
            print(f"an older certificate was revoked; now run: {RELOAD}", file=sys.stderr)


def mosquitto(
    *,
    names: Annotated[
        list[str],
        typer.Option("--name", help="A name or address of the broker; repeatable.", metavar="HOST"),
    ],
    port: Annotated[int, typer.Option(help="Where it listens.", min=1, max=65_535)] = 8883,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where its files go.", metavar="DIR")
    ] = None,
    config: Config = HERE,
) -> None:
    """Make the hub's certificate authority, and the files of a broker that speaks TLS only.

    Writes Mosquitto's configuration, certificates, ACL and revocation list into a folder, and names
    the hub's own certificates in hub.toml, whose other lines stay. Run it again when the broker has
    another name. It says what to do next, as root.

      gridtally-hub mosquitto --name hub.local --name 192.168.1.20
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.joining.broker import prepare_broker
        from hub.joining.pairing import check_host

        folder = directory or config.resolve().parent / "mosquitto"
        hosts = [check_host(name) for name in names]
        for line in prepare_broker(loaded(config), config, hosts, port, folder.resolve()):
            print(line)


def members(
    config: Config = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the registry: every key with its holder, roles and standing, every meter's address.

    From the ledger alone; works while the hub runs, and when it does not.

      gridtally-hub members

      gridtally-hub members --json
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.joining import members as registry
        from hub.joining.registry import read_registry

        found = registry.membership(read_registry(loaded(config)))
        if as_json:
            print(json.dumps(registry.as_json(found)))
        else:
            print("\n".join(registry.member_lines(found)))


@keys.command("role", short_help="Give a member other roles.")
def give_roles(
    member: Annotated[str, typer.Argument(help="Whose roles.", metavar="MEMBER")],
    roles: Annotated[
        list[str] | None,
        typer.Argument(
            help="All that it has from now on; none: an ordinary member.", metavar="ROLES"
        ),
    ] = None,
    config: Config = HERE,
) -> None:
    """Let a member have these roles from now on, instead of those it has.

    docs/roles.md says what each may sign. There is always an administrator.

      gridtally-hub key role bob manager regulator

      gridtally-hub key role bob
    """
    log_to_stderr(verbose=False)
    with told():
        entry = KeyEntry("role", "member", member, b"", roles=tuple(roles or ()))
        _sign(loaded(config), [entry], "has these roles")


@keys.command("describe", short_help="Say what a source is, and where.")
def describe(
    meter_id: Annotated[str, typer.Argument(help="A meter of a source.", metavar="METER")],
    *,
    fuel: Annotated[
        str | None, typer.Option(help='Such as solar or wind; "": nothing.', metavar="FUEL")
    ] = None,
    location: Annotated[
        str | None, typer.Option(help='Roughly where; "": nothing.', metavar="PLACE")
    ] = None,
    config: Config = HERE,
) -> None:
    """Say anew what a meter's energy comes from and where it is; what is not given stays.

    Both stand in the ledger for all who read it: name a place, or whole metres from one.

      gridtally-hub key describe dep1-pv --fuel hydro --location "120 m E, 45 m N of the mill"
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.joining.keychanges import entry_to_describe
        from hub.joining.registry import read_registry

        settings = loaded(config)
        entry = entry_to_describe(read_registry(settings), meter_id, fuel, location)
        _sign(settings, [entry], "is described")


@keys.command("revoke", short_help="Let somebody's keys count no more.")
def revoke(
    holder: Annotated[str, typer.Argument(help=HOLDERS, metavar="HOLDER")],
    name: Annotated[str, typer.Argument(help="Its name.", metavar="NAME")],
    config: Config = HERE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End every key of somebody, at once: nothing it signs is taken any more.

    A node goes with its meters, whose keys lie on the same machine, and with its certificate for
    the broker. What is on the ledger stays.

      gridtally-hub key revoke node dep1

      gridtally-hub key revoke meter dep1-pv
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.joining.keychanges import end_certificates, entries_to_revoke
        from hub.joining.mosquitto import RELOAD
        from hub.joining.registry import read_registry

        settings = loaded(config)
        entries = entries_to_revoke(read_registry(settings), holder, name)
        for entry in entries:
            print(f"{entry.holder} {entry.name}", file=sys.stderr)
        if not yes and not typer.confirm("End these keys for good?", err=True):
            raise typer.Exit(1)
        _sign(settings, entries, "revoked")
        if holder == "node" and end_certificates(settings, name):
            print(f"now run: {RELOAD}", file=sys.stderr)


@keys.command("rotate", short_help="Replace keys that were lost.")
def rotate(
    file: Annotated[
        Path, typer.Argument(help="What `gridtally-edge keygen` wrote anew.", metavar="FILE")
    ],
    config: Config = HERE,
    yes: Yes = False,
) -> None:
    """Let a node's new keys take over from those that it lost, with the same names.

    Up to what is stored now the old keys' words stay. Where the old keys are still there, the node
    does this by itself: `gridtally-edge rotate`.

      gridtally-hub key rotate enrol-dep1.json
    """
    log_to_stderr(verbose=False)
    with told():
        from hub.joining.enrolment import read_enrolment
        from hub.joining.keychanges import entries_to_rotate, rotation_lines

        settings = loaded(config)
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fail(f"{file}: {error}", os.EX_NOINPUT)
        entries = entries_to_rotate(settings, read_enrolment(text, settings.microgrid))
        for line in rotation_lines(entries):
            print(line, file=sys.stderr)
        if not yes and not typer.confirm("Does the node show these fingerprints?", err=True):
            raise typer.Exit(1)
        _sign(settings, entries, "has its new key")


def _sign(config: HubConfig, entries: Sequence[KeyEntry], what: str) -> None:
    from hub.commands.enrolling import hand_over, sign_as_administrator

    reasons = hand_over(config, sign_as_administrator(config, entries))
    for entry, reason in zip(entries, reasons, strict=True):
        print(f"{entry.holder} {entry.name}: {reason or what}")
    if any(reasons):
        raise typer.Exit(os.EX_DATAERR)
