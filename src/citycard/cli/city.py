# SPDX-License-Identifier: Apache-2.0
"""`citycard demo | init | serve | collect | clear | settle`: run a city, for show or for good."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from citycard.cli import options
from citycard.cli.options import AsJson, Home

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)]
BusinessDate = Annotated[str, typer.Option("--date", help="Business date to settle, YYYY-MM-DD.")]


def demo(
    home: Home = options.HOME_DEFAULT,
    seed: Annotated[int, typer.Option(help="One seed, one city: the same seed gives the same report.")] = 1,
    cards: Annotated[int, typer.Option(min=1, max=100_000, help="How many cards to issue.")] = 500,
    taps: Annotated[
        int, typer.Option(min=0, max=5_000_000, help="How many taps to plan for the day.")
    ] = 4000,
    serve_after: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Open the console afterwards.")
    ] = True,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    as_json: AsJson = False,
) -> None:
    """Let one day of a whole city happen: ceremony, cards, taps, clearing, settlement, report, console."""
    from citycard.lab import demo as city_demo

    if serve_after:
        options.free_port(host, port)
    folder = home / "demo"
    with options.progress_bar() as progress:
        shown = city_demo.run(folder, seed=seed, cards=cards, taps=taps, progress=progress)
    if as_json:
        typer.echo(json.dumps(shown.report, ensure_ascii=False))
    else:
        from citycard.cli import report

        report.show_demo(shown)
    if serve_after:
        os.environ["CITYCARD_PASSPHRASE"] = shown.passphrase
        typer.echo(city_demo.invitation(shown, host, port), err=True)
        _serve(folder, host, port)


def init(
    home: Home = options.HOME_DEFAULT,
    scheme: Annotated[str, typer.Option(help="Blueprint name or TOML file.")] = "city",
    administrator: Annotated[str, typer.Option(help="Name of the first console user.")] = "admin",
) -> None:
    """Set up a new city: vault and key ceremony, database, scheme, first console user. Safe to repeat."""
    from citycard.cli import operate

    with options.progress_bar() as progress:
        done = operate.initialise(home, scheme, administrator, options.new_secret(home), progress)
    for line in done:
        typer.echo(line)


def serve(
    home: Home = options.HOME_DEFAULT,
    host: Host = "127.0.0.1",
    port: Port = 8000,
) -> None:
    """Serve the office: console and API. Ctrl-C ends it."""
    from citycard.cli import operate

    operate.ready(home)
    options.free_port(host, port)
    options.keep_secret(home)
    typer.echo(f"http://{host}:{port}/  (Ctrl-C ends)", err=True)
    _serve(home, host, port)


def collect(home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Look over the raw batches that wait for clearing: how many, whose, and whether each is whole."""
    from citycard.cli import operate

    found = operate.collect(home)
    _tell(found, as_json)


def clear(
    date: BusinessDate,
    home: Home = options.HOME_DEFAULT,
    engine: Annotated[str, typer.Option(help="duckdb, or spark with --master.")] = "duckdb",
    master: Annotated[str | None, typer.Option(help="Spark master, such as spark://127.0.0.1:17077.")] = None,
    verdicts: Annotated[str, typer.Option(help="What the office is told: all taps, or exceptions.")] = "all",
    store: Annotated[
        str | None, typer.Option(envvar="CITYCARD_LAKE_STORE", help="Where the lake is copied to.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Clear a business date: verify, apportion, net, and post to the ledger. Repeating changes nothing."""
    from citycard.cli import operate

    day = options.parse_date(date)
    if engine not in ("duckdb", "spark") or (engine == "spark") != (master is not None):
        raise typer.BadParameter("--engine is duckdb, or spark with the --master of a cluster")
    if verdicts not in ("all", "exceptions"):
        raise typer.BadParameter("--verdicts is all or exceptions")
    with options.progress_bar() as progress:
        found = operate.clear(
            home, day, options.secret, progress, verdicts=verdicts, master=master, store=store
        )
    _tell(found, as_json)


def settle(date: BusinessDate, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Make and post the payment instructions of a cleared business date. Repeating changes nothing."""
    from citycard.cli import operate

    _tell(operate.settle(home, options.parse_date(date)), as_json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (demo, init, serve, collect, clear, settle):
        app.command()(command)


def _serve(home: Path, host: str, port: int) -> None:
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    os.environ["CITYCARD_HOME"] = str(home.absolute())
    server = Granian(
        "citycard.cli.site:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        blocking_threads=2,
        log_level=LogLevels.warning,
    )
    server.serve()


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, default=str))
        return
    for key, value in found.items():
        if isinstance(value, dict):
            typer.echo(f"{key}:")
            for name, item in value.items():
                typer.echo(f"  {name:24} {item}")
        else:
            typer.echo(f"{key:26} {value}")
