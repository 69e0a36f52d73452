# SPDX-License-Identifier: Apache-2.0
"""`citycard replay`: take published card records through import, re-rating, clearing and settlement."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from citycard.clearing.replay import ReplayReport

app = typer.Typer(help="Replay published card records. 重放公开的刷卡数据。", no_args_is_help=True)

ROWS_SHOWN = 12  # of a long list on the screen; --json has more


@app.callback()
def group() -> None:
    """Replay published card records: import, re-rating, clearing and settlement."""


@app.command()
def szt(
    path: Annotated[Path, typer.Argument(help="The records: .csv, .csv.zst or .csv.gz.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    work_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for staging and long lists; a temporary one if not given."),
    ] = None,
) -> None:
    """Replay Shenzhen Tong (深圳通) records of any size with the `shenzhen` tariff."""
    from citycard.clearing.replay import replay_szt
    from citycard.cli.options import progress_bar

    with _folder(work_dir) as folder, progress_bar() as progress:
        report = replay_szt(path, work_dir=folder, progress=progress)
    if work_dir is None:
        report.files.clear()  # they are gone with the temporary folder
    if as_json:
        sys.stdout.write(json.dumps(report.as_json(), ensure_ascii=False, indent=2) + "\n")
    else:
        show(report, keeps_files=work_dir is not None)


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="citycard-replay-") as name:
        yield Path(name)


def show(report: ReplayReport, *, keeps_files: bool) -> None:
    """Print the report as tables."""
    from rich.console import Console

    console = Console(highlight=False)
    _rows(console, report)
    _prices(console, report, keeps_files)
    _journeys(console, report)
    _companies(console, report)
    _positions(console, report)
    console.print(f"Done in {report.seconds:.1f} s.")


def _rows(console: Any, report: ReplayReport) -> None:
    table = _table(f"Records {report.first_at} .. {report.last_at}", "what", "rows")
    table.add_row("rows in the file", f"{report.rows:,}")
    rows = ", ".join(str(row) for row in report.duplicate_rows[:ROWS_SHOWN])
    table.add_row(f"exact duplicates, counted once {rows and f'(row {rows})'}", f"{report.duplicates:,}")
    for reason, count in report.dirty.items():
        fate = "not used" if reason in report.dropped else "used all the same"
        table.add_row(f"dirty: {reason} ({fate})", f"{count:,}")
    table.add_row("used", f"{report.used:,}")
    console.print(table)


def _prices(console: Any, report: ReplayReport, keeps_files: bool) -> None:
    table = _table(f"Re-rated with the tariff of scheme {report.scheme}", "what", "rows")
    table.add_row("priced rows", f"{report.priced:,}")
    table.add_row("re-rated to the fen", f"{report.rerated_exact:,}")
    table.add_row("unexplained (suspended)", f"{report.unexplained:,}")
    table.add_row("anomalies: discount contradicts the transfer mark", f"{report.anomalies_total:,}")
    for row in report.classes:
        also = f", {row['ambiguous']:,} of them fit another class too" if row["ambiguous"] else ""
        table.add_row(f"  {row['service']} {row['card_class']}{also}", f"{row['taps']:,}")
    console.print(table)
    for title, rows, total, name in (
        ("Anomalies", report.anomalies, report.anomalies_total, "anomalies"),
        ("Unexplained rows", report.unexplained_rows, report.unexplained, "unexplained"),
    ):
        _odd_rows(console, title, rows, total)
        if total > len(rows):
            at = report.files[name] if keeps_files else "give --work-dir to keep the whole list"
            console.print(f"{title}: {len(rows):,} of {total:,} are in the report; {at}")


def _odd_rows(console: Any, title: str, rows: list[dict[str, Any]], total: int) -> None:
    if not rows:
        return
    columns = ("row", "kind", "company", "list_fen", "charged_fen", "card_class")
    table = _table(f"{title} ({min(total, ROWS_SHOWN):,} of {total:,}; --json lists more)", *columns)
    for row in rows[:ROWS_SHOWN]:
        table.add_row(*(str(row[column]) for column in columns))
    console.print(table)


def _journeys(console: Any, report: ReplayReport) -> None:
    found = report.journeys
    table = _table("Metro journeys", "what", "count")
    table.add_row("paired entry and exit", f"{found['paired']:,}")
    for end, title in (("entries", "entry"), ("exits", "exit")):
        for reason, count in found[f"{end}_by_reason"].items():
            table.add_row(f"{title} without partner: {reason}", f"{count:,}")
    console.print(table)
    for gap in report.gaps:
        console.print(f"No record at all from {gap['before']} to {gap['after']}.")


def _companies(console: Any, report: ReplayReport) -> None:
    from citycard.core.money import yuan

    table = _table("By company (yuan)", "company", "taps", "cards", "list", "charged")
    for company, row in report.by_company.items():
        amounts = yuan(row["list_fen"]), yuan(row["charged_fen"])
        table.add_row(company, f"{row['taps']:,}", f"{row['cards']:,}", *amounts)
    console.print(table)
    if report.companies_unknown:
        console.print(
            "Not in the scheme, priced by its default fares: " + ", ".join(report.companies_unknown)
        )
    if report.expected is None:
        return
    console.print(f"Compared with {report.expected['file']}: {report.expected['counting']}.")
    for row in report.expected["differences"]:
        console.print(f"  {row['company']} {row['figure']}: expected {row['expected']}, found {row['found']}")


def _positions(console: Any, report: ReplayReport) -> None:
    from citycard.core.money import yuan

    contracts = ", ".join(report.contracts)
    table = _table(f"Positions under contract {contracts} (yuan)", "participant", "gets", "owes", "net")
    for row in report.positions:
        amounts = (yuan(row[name]) for name in ("receivable_fen", "payable_fen", "net_fen"))
        table.add_row(row["name_zh"], *amounts)
    table.add_row("sum", "", "", yuan(report.positions_sum_fen))
    console.print(table)
    if report.suspended_fen:
        console.print(f"Suspended, not settled: {yuan(report.suspended_fen)} yuan.")


def _table(title: str, first: str, *rest: str) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for name in rest:
        table.add_column(name, justify="right")
    return table
