"""What our programs can do, from the programs themselves, whatever reads their command lines.

The entry points of setup.cfg name them: a Typer application, or a module with a function `parser`
that returns an argparse parser.
"""

from __future__ import annotations

import argparse
import configparser
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer
import typer.main

ROOT = Path(__file__).parent.parent


class Parameter(NamedTuple):
    """One argument or option; an argument's only name is what stands for it, in capitals."""

    names: tuple[str, ...]
    help: str
    is_argument: bool


class Verb(NamedTuple):
    """One command, by its words after the program's name."""

    name: str
    help: str
    parameters: tuple[Parameter, ...]


class Program(NamedTuple):
    """One program: what it says of itself, and its commands by name."""

    name: str
    help: str
    verbs: tuple[Verb, ...]
    tail: str = ""


def programs() -> tuple[Program, ...]:
    """Return every program that setup.cfg installs, by name."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options.entry_points"]["console_scripts"].strip().splitlines()
    found = (tuple(part.strip() for part in line.split("=")) for line in lines)
    return tuple(_program(name, *target.split(":")) for name, target in sorted(found))


def _program(name: str, module_name: str, attribute: str) -> Program:
    module = importlib.import_module(module_name)
    app = getattr(module, attribute)
    if isinstance(app, typer.Typer):
        command = typer.main.get_command(app)
        return Program(name, command.help or "", tuple(_typer_verbs(command)))
    parser: argparse.ArgumentParser = module.parser()
    verbs = tuple(sorted(_argparse_verbs(parser)))
    return Program(name, parser.description or "", verbs, parser.epilog or "")


def _typer_verbs(command: Any, prefix: str = "") -> Iterator[Verb]:
    for name, child in sorted(getattr(command, "commands", {}).items()):
        if child.hidden:
            continue
        if hasattr(child, "commands"):
            yield from _typer_verbs(child, f"{prefix}{name} ")
        else:
            shown = [each for each in child.params if each.name != "help" and not each.hidden]
            yield Verb(f"{prefix}{name}", child.help or "", tuple(map(_typer_parameter, shown)))


def _typer_parameter(each: Any) -> Parameter:
    if each.param_type_name == "argument":
        return Parameter((each.metavar or each.name.upper(),), each.help or "", is_argument=True)
    names = (*each.opts, *each.secondary_opts)
    return Parameter(names, each.help or "", is_argument=False)


def _argparse_verbs(parser: argparse.ArgumentParser) -> Iterator[Verb]:
    # argparse tells nobody what it knows, but by these names, which have stood since Python 2.7
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, child in action.choices.items():
                shown = [each for each in child._actions if each.dest != "help"]  # noqa: SLF001
                parameters = tuple(map(_argparse_parameter, shown))
                yield Verb(name, child.description or "", parameters)


def _argparse_parameter(each: argparse.Action) -> Parameter:
    names = tuple(each.option_strings) or (str(each.metavar or each.dest.upper()),)
    return Parameter(names, each.help or "", is_argument=not each.option_strings)
