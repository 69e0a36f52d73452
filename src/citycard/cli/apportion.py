# SPDX-License-Identifier: Apache-2.0
"""`citycard apportion`: networks and the shares of seamless journeys."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citycard.cli import options
from citycard.cli.options import AsJson, Home
from citycard.core.problem import Problem, declare

if TYPE_CHECKING:
    from citycard.clearing.apportion import Explained, Matrix, Network

app = typer.Typer(help="Fair shares of seamless journeys. 轨道交通清分。", no_args_is_help=True)

NETWORK_NONE = declare(
    "NETWORK_NONE",
    "There is no network in {home}. Name a file with --network, or run `citycard apportion build FILE`.",
    "{home} 中没有线网。请用 --network 指定文件，或先运行 `citycard apportion build 文件`。",
)
TIME_INVALID = declare(
    "TIME_INVALID",
    "{value!r} is no time of day: write it as HH:MM or YYYY-MM-DDTHH:MM.",
    "“{value}”不是时刻，请写成 HH:MM 或 YYYY-MM-DDTHH:MM。",
)
NetworkFile = Annotated[Path, typer.Argument(help="Network file: JSON or TOML.")]


@app.command()
def check(file: NetworkFile, as_json: AsJson = False) -> None:
    """Read a network file, refuse it with the place of the first fault, or tell what is in it."""
    from citycard.clearing.apportion import read_network

    _tell(_about(read_network(file)), as_json)


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV: line, seq, station, dist_from_prev_m, loop, ...")],
    name: Annotated[str, typer.Option(help="Name of the network.")],
    valid_from: Annotated[str, typer.Option(help="First date it is in force, YYYY-MM-DD.")],
    out: Annotated[Path, typer.Option(help="Network file to write.")],
    operator: Annotated[
        list[str], typer.Option(help="LINE=PARTICIPANT, or a PARTICIPANT for all other lines; repeat it.")
    ],
    walks: Annotated[
        Path | None, typer.Option(help="CSV of transfer walks: station, from_line, to_line, minutes.")
    ] = None,
) -> None:
    """Make a network file from a list of line stations."""
    from citycard.clearing.apportion.importing import import_lines, read_walks

    operators = {line: who for line, _, who in (one.rpartition("=") for one in operator)}
    found = import_lines(
        file, name, options.parse_date(valid_from), operators, read_walks(walks) if walks else ()
    )
    out.write_text(found.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
    typer.echo(f"{out}: {len(found.stations)} stations, {len(found.lines)} lines", err=True)


@app.command()
def build(file: NetworkFile, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Compute the shares of all pairs and put them where clearing looks; dates before it are not touched."""
    from citycard.clearing.apportion import build as build_matrix
    from citycard.clearing.apportion import read_network
    from citycard.clearing.apportion.matrix import install

    network = read_network(file)
    before, old = _before(home, network)
    with options.progress_bar() as progress:
        matrix = build_matrix(network, lambda done, total: progress("pairs 站对", done, total))
    path = install(home, network, matrix)
    about = _about(network) | {"pairs": len(matrix.pairs), "installed": str(path)}
    if before and old:
        about |= {"replaces": f"{before.name} v{before.version}", "rows_changed": len(matrix.changed(old))}
    _tell(about, as_json)


@app.command()
def explain(
    start: Annotated[str, typer.Argument(help="Entry: id, name or line.stop.")],
    goal: Annotated[str, typer.Argument(help="Exit: id, name or line.stop.")],
    network: Annotated[Path | None, typer.Option(help="Network file; else the newest one of --home.")] = None,
    home: Home = options.HOME_DEFAULT,
    at: Annotated[
        str,
        typer.Option(
            help="Entry: HH:MM of a day of work, or YYYY-MM-DDTHH:MM by the network then in force; "
            "else the whole day."
        ),
    ] = "",
    picture: Annotated[Path | None, typer.Option(help="Write a map of the paths as SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """The paths between two stations, what each costs, how likely it is, and who gets what part."""
    from citycard.clearing.apportion import Graph
    from citycard.clearing.apportion import explain as explain_pair

    moment = _moment(at)
    found = _network(network, home, moment)
    period = found.period_at(moment)
    graph = Graph(found, period)
    pair = explain_pair(graph, found.find(start).id, found.find(goal).id)
    if picture:
        from citycard.clearing.apportion.picture import draw

        picture.write_text(draw(graph, pair), encoding="utf-8")
    told = _plain(found, pair) | {"period": period}
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        _show(told)


def _before(home: Path, network: Network) -> tuple[Network | None, Matrix | None]:
    """What a new network is put in the place of; none or a damaged one is no reason not to build."""
    from citycard.clearing.apportion.matrix import Matrix, in_force

    try:
        found = in_force(home, network.valid_from)
        return (found.network, Matrix.read(found.path)) if found else (None, None)
    except Problem:
        return None, None


def _moment(text: str) -> datetime | time | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text) if len(text) > len("HH:MM") else time.fromisoformat(text)
    except ValueError:
        raise TIME_INVALID(value=text) from None


def _network(file: Path | None, home: Path, moment: datetime | time | None) -> Network:
    """The network of a file; else the one of a home in force then, or the newest."""
    from citycard.clearing.apportion import read_network
    from citycard.clearing.apportion.matrix import in_force

    if file is not None:
        return read_network(file)
    found = in_force(home, moment.date() if isinstance(moment, datetime) else date.max)
    if found is None:
        raise NETWORK_NONE(home=home)
    return found.network


def _about(network: Network) -> dict[str, Any]:
    return {
        "network": network.name,
        "version": network.version,
        "valid_from": network.valid_from.isoformat(),
        "periods": ", ".join(period.name for period in network.periods),
        "lines": len(network.lines),
        "stations": len(network.stations),
        "platforms": len(network.platforms),
        "operators": len(network.operators),
        "digest": network.digest,
    }


def _plain(network: Network, pair: Explained) -> dict[str, Any]:
    names = {line.number: line.name_zh or line.name_en or str(line.number) for line in network.lines}
    paths = [
        {
            "probability": round(chance, 6),
            "cost_min": round(path.cost_min, 2),
            "metres": path.metres,
            "transfers": path.transfers,
            "legs": [
                {
                    "line": names[leg.line],
                    "from": network.platforms[leg.board],
                    "to": network.platforms[leg.alight],
                    "stops": leg.stops,
                    "metres": leg.metres,
                }
                for leg in path.legs
            ],
            "carried": dict(path.carried),
        }
        for path, chance in zip(pair.paths, pair.probabilities, strict=True)
    ]
    return {"from": pair.start, "to": pair.goal, "paths": paths, "shares_ppm": dict(pair.shares)}


def _tell(about: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(about, ensure_ascii=False))
        return
    for name, value in about.items():
        typer.echo(f"{name:12} {value}")


def _show(told: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    period = f" · {told['period']}" if told["period"] else ""
    table = Table(
        "probability 概率",
        "cost 成本 (min)",
        "km",
        "way 路径 (line, stops 线路、站数)",
        title=f"{told['from']} → {told['to']}{period}",
    )
    for path in told["paths"]:
        ridden = [f"({leg['line']}, {leg['stops']}) {leg['to']}" for leg in path["legs"]]
        way = " → ".join([path["legs"][0]["from"], *ridden])
        table.add_row(
            f"{path['probability']:.1%}", f"{path['cost_min']:.1f}", f"{path['metres'] / 1000:.1f}", way
        )
    console.print(table)
    for who, parts in told["shares_ppm"].items():
        console.print(f"{who}  {parts / 10_000:.4f} %")
    if not told["paths"]:
        console.print("No path joins them. 两站之间没有路径。")
