# SPDX-License-Identifier: Apache-2.0
"""`citycard lab`: a simulated city under faults, checked after every day; and two cities with a hub."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Annotated, Final

import typer

from citycard.cli import options
from citycard.cli.options import AsJson

GC_AFTER: Final = 100_000  # allocations between two collections of the youngest generation
app = typer.Typer(invoke_without_command=True, help="Simulated cities under faults. 仿真与故障注入。")


@app.callback()
def lab(
    context: typer.Context,
    seed: Annotated[int, typer.Option(help="One seed, one city and its misfortunes.")] = 1,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="How many seeds, one after another.")] = 1,
    days: Annotated[int, typer.Option(min=1, max=365, help="How many days to live through.")] = 3,
    cards: Annotated[int, typer.Option(min=1, max=10_000, help="How many cards.")] = 12,
    taps: Annotated[int, typer.Option(min=0, max=100_000, help="How many taps to plan a day.")] = 60,
    faults: Annotated[bool, typer.Option("--faults/--no-faults", help="Tears, lost uploads, kills.")] = True,
    as_json: AsJson = False,
) -> None:
    """Simulate days of a city on the real code and check after each that no fen is lost or counted twice.

    Exit code 1 when a check fails; the seed printed reproduces it. With --json one line a seed.
    """
    if context.invoked_subcommand is not None:
        return
    from citycard.lab import simulation

    gc.set_threshold(GC_AFTER)  # many short-lived cities: collecting less often saves a twentieth of the time
    failed = False
    with options.progress_bar() as progress:
        for number in range(seed, seed + count):
            outcome = simulation.run(
                seed=number, days=days, cards=cards, taps=taps, faults=faults, progress=progress
            )
            failed |= bool(outcome.failures)
            shown = json.dumps(outcome.as_json(), ensure_ascii=False) if as_json else outcome.as_text()
            typer.echo(shown)
    if failed:
        raise typer.Exit(1)


@app.command(name="load-shape")
def load_shape(
    flows: Annotated[Path, typer.Argument(help="Parquet of passenger flows by station and ten minutes.")],
    weekend: Annotated[
        bool, typer.Option("--weekend", help="Days of the weekend, not working days.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the shape as JSON, for --shape.")] = None,
    as_json: AsJson = False,
) -> None:
    """The shape of a real day from published flows, so that a generated day has its peaks. 负荷曲线。"""
    from citycard.lab.load_shape import from_flows

    shape = from_flows(flows, weekend=weekend)
    if out is not None:
        out.write_text(json.dumps(shape.to_plain()), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(shape.to_plain()))
        return
    typer.echo(f"{shape.days} days: {sum(shape.entries):,} enter, {sum(shape.exits):,} leave, on average")
    most = max(shape.entries)
    for hour in range(24):
        counts = shape.entries[6 * hour : 6 * hour + 6]
        typer.echo(f"{hour:02d}:00 {sum(counts):>9,}  {'█' * round(max(counts) / most * 50)}")
    typer.echo(f"peak: {shape.peak:.1f} times the mean of the day")


@app.command()
def interop(
    seed: Annotated[int, typer.Option(help="One seed, two cities and their travellers.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Two cities and a hub as three offices exchange files, with faults, until all agrees. 互联互通仿真。

    A file is lost, one comes twice, one is altered, an amount is raised, a tap is disputed, a card is lost.
    Exit code 1 when a check fails.
    """
    from citycard.lab.interop import story

    with options.progress_bar() as progress:
        report = story.run(seed, progress)
    typer.echo(json.dumps(report.as_json(), ensure_ascii=False) if as_json else report.as_text())
    if report.failures:
        raise typer.Exit(1)
