# SPDX-License-Identifier: Apache-2.0
"""`citycard lake` and `citycard trace`: look after the tap lake, and follow a tap back to its bytes."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from citycard.cli import options
from citycard.cli.options import AsJson, Home

app = typer.Typer(help="Look after the tap lake. 管理交易数据湖。", no_args_is_help=True)

StoreUrl = Annotated[
    str | None,
    typer.Option("--store", envvar="CITYCARD_LAKE_STORE", help="Copy of the lake, such as s3://bucket/city."),
]


@app.command("stats")
def show_stats(home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """What lies in the lake: raw batches, runs, files and bytes. 数据湖概况。"""
    from citycard.clearing import keeping

    _tell(keeping.stats(home), as_json)


@app.command()
def check(home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Hold every file against its digest; leaves with 1 when one is damaged or gone. 校验数据湖。"""
    from citycard.clearing import keeping

    with options.progress_bar() as progress:
        found = keeping.check(home, progress)
    _tell(found, as_json)
    if not found["sound"]:
        raise typer.Exit(1)


@app.command()
def compact(home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Lay small files of taps into large ones; the rows stay as they are. 合并小文件。"""
    from citycard.clearing import keeping

    with options.progress_bar() as progress:
        _tell(keeping.compact(home, progress), as_json)


@app.command()
def retain(
    days: Annotated[int, typer.Option(min=1, help="Runs older than so many days lose their taps.")],
    home: Home = options.HOME_DEFAULT,
    raw: Annotated[bool, typer.Option("--raw", help="Their raw batches go as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take old taps out of the lake; results and statements stay. 按保留期清理。"""
    from citycard.clearing import keeping

    with options.progress_bar() as progress:
        _tell(keeping.retain(home, days, raw=raw, progress=progress), as_json)


@app.command()
def line(
    date: Annotated[str, typer.Argument(help="Business date of the run, YYYY-MM-DD.")],
    participant: Annotated[str, typer.Argument(help="Whose statement it is: 16 hex digits.")],
    service: Annotated[int | None, typer.Option(help="Service code of the line.")] = None,
    counterparty: Annotated[str | None, typer.Option(help="Issuer or acquirer of the line.")] = None,
    cause: Annotated[str | None, typer.Option(help="Cause of the line, such as operator_share.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Taps shown at most.")] = 1000,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """The taps behind a line of a statement, each with its part of it. 报表行溯源。"""
    from citycard.clearing.lake import Lake
    from citycard.clearing.problems import LAKE_DATE
    from citycard.clearing.trace import taps_of_line

    day = options.parse_date(date)
    if day not in Lake(home).finished():
        raise LAKE_DATE(date=day, home=home)
    wanted = {"participant": participant, "service": service, "counterparty": counterparty, "cause": cause}
    taps = taps_of_line(home, day, wanted, limit)
    if as_json:
        typer.echo(json.dumps(taps, ensure_ascii=False, default=str))
        return
    for tap in taps:
        typer.echo(f"{tap['tap']}  {tap['cause']:16} {tap['amount_fen']:>10} fen  {tap['period']}".rstrip())
    typer.echo(f"{len(taps)} shares, {sum(tap['amount_fen'] for tap in taps)} fen")


@app.command()
def push(home: Home = options.HOME_DEFAULT, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Copy all closed runs and their raw batches to the store. 上传数据湖副本。"""
    from citycard.clearing.lake import Lake
    from citycard.clearing.store import Store
    from citycard.clearing.store import push as push_run

    if store is None:
        raise typer.BadParameter("name a store with --store or CITYCARD_LAKE_STORE")
    lake, target = Lake(home), Store.at(store)
    days = lake.finished()
    with options.progress_bar() as progress:
        copied = 0
        for number, day in enumerate(days, 1):
            copied += push_run(lake, target, day)
            progress("runs", number, len(days))
    _tell({"runs": len(days), "files_copied": copied}, as_json)


def trace(
    tap: Annotated[str, typer.Argument(help="A tap's name: TERMINAL-SEQUENCE.")],
    home: Home = options.HOME_DEFAULT,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Follow a tap from its verdict and shares back to raw batch, offset and bytes. 交易溯源。"""
    from citycard.clearing.trace import trace as find

    found = find(home, tap, store)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, default=str))
        return
    for seen in found["history"]:
        typer.echo(f"{seen['tap']}  run {seen['run']}  {seen['verdict']}  {seen['reason']}")
        typer.echo(f"  business date {seen['business_date']}")
        typer.echo(f"  batch  {seen['batch']}\n  file   {seen['file']} at byte {seen['offset']}"
                   f"{'' if seen['intact'] else '  (damaged or gone)'}")  # fmt: skip
        if seen["period"]:
            typer.echo(f"  shared as in {seen['period']} 按时段清分")
        for share in seen["shares"]:
            typer.echo(
                f"  share  {share['participant']:18} {share['cause']:16} {share['amount_fen']:>10} fen"
            )
        for name, value in seen["record"].items():
            typer.echo(f"  {name:20} {value}")
        typer.echo(f"  bytes  {seen['bytes']}")


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="lake")
    root.command()(trace)


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    for key, value in found.items():
        if isinstance(value, dict):
            for name, item in value.items():
                typer.echo(f"{name:12} " + "  ".join(f"{k} {v:,}" for k, v in item.items()))
        elif isinstance(value, list):
            typer.echo(f"{key:14} {len(value)}")
            for item in value:
                typer.echo(f"  {item}")
        else:
            typer.echo(f"{key:14} {value}")
