# SPDX-License-Identifier: Apache-2.0
"""The one command: `citycard`.

Each group lives in a module of its own and imports the rooms it needs only when it runs, so that
`citycard --help` stays quick. Problems end as one sentence on standard error, with their stable code.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from citycard import __version__
from citycard.cli import (
    apportion,
    bank,
    bench,
    card,
    city,
    conform,
    fares,
    keys,
    lab,
    lake,
    month,
    partners,
    perso,
    reader,
    replay,
)
from citycard.core.problem import Problem

app = typer.Typer(
    help="City smart card platform: cards, terminals, office, clearing. 城市一卡通平台。",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(keys.app, name="keys")
perso.register(card.app)
reader.register(card.app)
app.add_typer(card.app, name="card")
app.add_typer(replay.app, name="replay")
app.add_typer(apportion.app, name="apportion")
app.add_typer(fares.app, name="fares")
app.add_typer(conform.app, name="conform")
app.add_typer(partners.app, name="partners")
app.add_typer(bank.app, name="bank")
app.add_typer(bank.reports, name="report")
app.add_typer(month.app, name="month")
app.add_typer(lab.app, name="lab")
for module in (city, bank, bench, lake):
    module.register(app)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """City smart card platform: from the card's bytes to the settled fen."""
    if version:
        typer.echo(f"citycard {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


def language() -> str:
    """`zh` or `en`: CITYCARD_LANG, else the locale of the environment."""
    for name in ("CITYCARD_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def main() -> None:
    """Entry point: run the command; tell a `Problem` in one sentence and leave with its exit code."""
    try:
        app()
    except Problem as problem:
        typer.echo(f"citycard: {problem.code}: {problem.text(language())}", err=True)
        sys.exit(problem.declared.exit)
    except KeyboardInterrupt:
        typer.echo("citycard: stopped", err=True)
        sys.exit(130)
