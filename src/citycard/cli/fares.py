# SPDX-License-Identifier: Apache-2.0
"""`citycard fares`: import fare matrices and GTFS Fares v2 feeds, and price journeys with them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from citycard.cli.options import AsJson
from citycard.core.problem import declare

app = typer.Typer(help="Fare tables and feeds. 票价表与票价数据。", no_args_is_help=True)

FORM_UNKNOWN = declare(
    "FORM_UNKNOWN",
    "There is no form {form!r}: give one of {known}, or a JSON file that declares the columns.",
    "没有名为“{form}”的格式：可用 {known}，或声明各列含义的 JSON 文件。",
)
LEG_INVALID = declare(
    "LEG_INVALID",
    "{leg!r} is no leg: write NETWORK,FROM-STOP,TO-STOP,YYYY-MM-DDTHH:MM,HH:MM.",
    "“{leg}”不是一段行程：请写成 线网,上车站,下车站,YYYY-MM-DDTHH:MM,HH:MM。",
)
MEDIUM_UNKNOWN = declare(
    "MEDIUM_UNKNOWN",
    "The feed has no medium {medium!r}; it has {known}.",
    "票价数据中没有介质“{medium}”，现有：{known}。",
)


@app.command(name="import-od")
def import_od(
    file: Annotated[Path, typer.Argument(help="The matrix: .csv, .csv.zst or .csv.gz.")],
    form: Annotated[str, typer.Option(help="hk-mtr, or a JSON file that says which column means what.")],
    out: Annotated[Path | None, typer.Option(help="Write the fare table as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read an origin-destination fare matrix into the metro's fare table."""
    from citycard.clearing.feeds import MatrixForm, import_matrix
    from citycard.clearing.feeds.od_matrix import FORMS

    if form in FORMS:
        chosen = FORMS[form]
    elif Path(form).is_file():
        chosen = MatrixForm.from_plain(json.loads(Path(form).read_text("utf-8")), what=form)
    else:
        raise FORM_UNKNOWN(form=form, known=", ".join(FORMS))
    table, report = import_matrix(file, chosen)
    if out:
        out.write_text(json.dumps(table.to_plain(), separators=(",", ":")), encoding="utf-8")
    _tell(asdict(report), as_json)


@app.command(name="import-gtfs")
def import_gtfs(
    folder: Annotated[Path, typer.Argument(help="Folder of the feed.")],
    medium: Annotated[str, typer.Option(help="fare_media_id whose prices a terminal's tariff shall hold.")],
    out: Annotated[Path | None, typer.Option(help="Write the tariffs as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a GTFS Fares v2 feed into tariffs of one medium, and report what cannot be expressed."""
    from citycard.clearing.feeds import read_feed, to_tariffs

    feed = read_feed(folder)
    if medium not in feed.media:
        raise MEDIUM_UNKNOWN(medium=medium, known=", ".join(feed.media))
    found = to_tariffs(feed, medium)
    plain = {
        "medium": medium,
        "flat": found.flat,
        "tables": found.tables,
        "areas": found.areas,
        "transfers": {f"{a} {b}": rule for (a, b), rule in found.transfers.items()},
        "inexpressible": [asdict(one) for one in found.inexpressible],
    }
    if out:
        out.write_text(json.dumps(plain, ensure_ascii=False), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(plain, ensure_ascii=False))
        return
    for network, price in found.flat.items():
        typer.echo(f"{network or '(other)':24} flat {price / 100:.2f}")
    for network, table in found.tables.items():
        typer.echo(f"{network:24} table of {len(table['stations'])} areas")
    for (before, mode), rule in found.transfers.items():
        typer.echo(f"transfer {before} -> {mode}: within {rule['window_minutes']} minutes")
    counts = Counter(one.code for one in found.inexpressible)
    typer.echo(f"not expressible: {', '.join(f'{n} {code}' for code, n in counts.items()) or 'nothing'}")
    for one in {one.code: one for one in reversed(found.inexpressible)}.values():
        typer.echo(f"  {one.code}, first {one.file} row {one.row}: {one.why}")


@app.command()
def price(
    folder: Annotated[Path, typer.Argument(help="Folder of the feed.")],
    leg: Annotated[list[str], typer.Argument(help="NETWORK,FROM,TO,START,END; one for each leg, in order.")],
    medium: Annotated[str, typer.Option(help="fare_media_id.")],
    as_json: AsJson = False,
) -> None:
    """The least a journey costs by the feed."""
    from citycard.clearing.feeds import read_feed

    feed = read_feed(folder)
    quote = feed.quote([_leg(text) for text in leg], medium)
    _tell({"amount": quote.amount if quote else None, "bought": quote.bought if quote else ()}, as_json)


def _leg(text: str) -> Any:
    from citycard.clearing.feeds import Leg

    try:
        network, origin, goal, start, end = text.split(",")
        began = datetime.fromisoformat(start)
        return Leg(
            network,
            origin,
            goal,
            began,
            datetime.combine(began.date(), datetime.strptime(end, "%H:%M").time()),
        )
    except ValueError:
        raise LEG_INVALID(leg=text) from None


def _tell(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    for name, value in told.items():
        typer.echo(f"{name:20} {value}")
