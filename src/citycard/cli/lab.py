# SPDX-License-Identifier: Apache-2.0
"""`citycard lab`: simulated cities under faults, checked after every day; and two cities with a hub."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from citycard.cli import options
from citycard.cli.options import AsJson

if TYPE_CHECKING:
    from citycard.lab.interop.lives import Lived
    from citycard.lab.simulation import Simulated

SMALL_DAYS, SMALL_CARDS, SMALL_TAPS = 1, 3, 6  # a city of which there can be hundreds
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


class World(StrEnum):
    """Which worlds are simulated."""

    CITY = "city"
    EXCHANGE = "exchange"
    BOTH = "both"


@app.command()
def simulate(
    world: Annotated[
        World, typer.Option(help="One city with its bank; two cities and a hub; or both.")
    ] = World.BOTH,
    seeds: Annotated[int, typer.Option(min=1, max=100_000, help="How many seeds of each world.")] = 10,
    first: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Small worlds under faults, one seed after another, each checked to the last fen. 多种子仿真。

    A city for a day: torn cards, kills at any step, damaged lake, full disk, wrong clocks, wrong contracts, a
    bank that rejects and returns. Two cities and a hub: files lost, altered, late, doubled, out of order,
    kills, disputes, lost cards; each seed is held against its life without faults. With --json one line a
    seed. Exit code 1 when a check fails; the command that repeats the seed is printed.
    """
    gc.set_threshold(GC_AFTER)
    failed = False
    with options.progress_bar() as progress:
        for one in (World.CITY, World.EXCHANGE):
            if world not in (one, World.BOTH):
                continue
            outcomes = _outcomes(one, range(first, first + seeds))
            for number in range(seeds):
                repeat = f"citycard lab simulate --world {one} --first {first + number} --seeds 1"
                try:
                    outcome = next(outcomes)
                except Exception:
                    typer.echo(f"repeat with: {repeat}", err=True)
                    raise
                if as_json:
                    typer.echo(json.dumps({"world": one.value} | outcome.as_json(), ensure_ascii=False))
                elif outcome.failures:
                    typer.echo(outcome.as_text())
                if outcome.failures:
                    failed = True
                    typer.echo(f"repeat with: {repeat}", err=True)
                progress(f"{one} 仿真", number + 1, seeds)
    if failed:
        raise typer.Exit(1)
    if not as_json:
        typer.echo(f"{seeds} seeds of {world}: all checks passed")


def _outcomes(world: World, seeds: range) -> Iterator[Simulated | Lived]:
    if world is World.CITY:
        from citycard.lab import simulation

        for seed in seeds:
            yield simulation.run(seed=seed, days=SMALL_DAYS, cards=SMALL_CARDS, taps=SMALL_TAPS, faults=True)
    else:
        from citycard.lab.interop import lives

        yield from lives.run(seeds)


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
