# SPDX-License-Identifier: Apache-2.0
"""`citycard keys sam`: issue security modules, list them, report one stolen."""

from __future__ import annotations

import getpass
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citycard.cli import dual, options
from citycard.cli.dual import Desk, FromStdin
from citycard.cli.options import AsJson, Home
from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.office.issuing.models import Sam
    from citycard.office.staff.roles import Actor

app = typer.Typer(
    help="Security modules of terminals: PSAM and load SAM. 终端安全模块。", no_args_is_help=True
)

SAM_OFFICE = declare(
    "SAM_OFFICE",
    "Security modules are registered in the office, and {home} has none. Run `citycard init`.",
    "安全模块须在后台登记，而 {home} 中没有后台；请先运行 `citycard init`。",
)


@app.command()
def issue(
    role: Annotated[str, typer.Option(help="psam (purchases) or load (loads).")],
    terminal: Annotated[str, typer.Option(help="Number of the terminal it is for, 12 hex digits.")],
    issuers: Annotated[
        list[str], typer.Option("--issuer", help="Issuer it serves; all active ones if left out.")
    ] = [],  # noqa: B006
    stdin: FromStdin = False,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make a module with the keys of its role only, in a file under its own passphrase (发行安全模块)."""
    by = _office(home)
    from citycard.office.issuing import sams

    vault = options.open_vault(home)
    passphrase = Desk(stdin=stdin).hidden("Passphrase of the module / 安全模块口令", confirm=True)
    sam, path = sams.issue(
        vault, role, terminal.lower(), by, passphrase, issuers=[i.lower() for i in issuers]
    )
    dual.record(
        home, "sam", [by.name], serial=sam.serial, role=role, terminal=terminal, keys_held=len(sam.keys)
    )
    shown = _row(sam) | {"file": str(path)}
    typer.echo(json.dumps(shown, ensure_ascii=False) if as_json else f"{sam.serial}: {path}")


@app.command("list")
def list_sams(home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """List modules: serial, role, terminal, state, key versions (安全模块清单)."""
    _office(home)
    from citycard.office.issuing.models import Sam

    rows = [_row(sam) for sam in Sam.objects.all()]
    if as_json:
        typer.echo(json.dumps({"sams": rows}, ensure_ascii=False))
        return
    for row in rows:
        versions = " ".join(str(version) for version in row["versions"])
        typer.echo(f"{row['serial']}  {row['role']:5} {row['terminal']}  {row['state']:10} keys {versions}")


@app.command()
def hotlist(
    serial: Annotated[str, typer.Argument(help="Serial of the module, 20 hex digits.")],
    since: Annotated[datetime | None, typer.Option(help="When it went missing; now if left out.")] = None,
    reason: Annotated[str, typer.Option(help="In a few words.")] = "stolen",
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Report a module stolen: its records from then on are rejected, terminals do not run on it (挂失)."""
    _moved(serial, "hotlisted", reason, since, home, as_json)


@app.command("return")
def take_back(
    serial: Annotated[str, typer.Argument(help="Serial of the module.")],
    reason: Annotated[str, typer.Option(help="In a few words.")] = "returned",
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Take a module out of use; another may be issued for its terminal (收回)."""
    _moved(serial, "returned", reason, None, home, as_json)


@app.command()
def destroy(
    serial: Annotated[str, typer.Argument(help="Serial of the module.")],
    reason: Annotated[str, typer.Option(help="In a few words.")] = "destroyed",
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Note that a module was destroyed (销毁)."""
    _moved(serial, "destroyed", reason, None, home, as_json)


def _moved(serial: str, state: str, reason: str, since: datetime | None, home: Path, as_json: bool) -> None:
    by = _office(home)
    from citycard.office.issuing import sams

    sam = sams.move(serial.lower(), state, by, reason, since)
    dual.record(home, "sam-state", [by.name], serial=sam.serial, state=state, reason=reason)
    typer.echo(json.dumps(_row(sam), ensure_ascii=False) if as_json else f"{sam.serial}: {state}")


def _office(home: Path) -> Actor:
    if not dual.office_there(home):
        raise SAM_OFFICE(home=home)
    from citycard.office.staff.roles import Actor, Role

    return Actor(f"cli:{getpass.getuser()}", frozenset({Role.ADMINISTRATOR}))


def _row(sam: Sam) -> dict[str, Any]:
    return {
        "serial": sam.serial,
        "role": sam.role,
        "terminal": sam.terminal,
        "state": sam.state,
        "versions": sorted({row[1] for row in sam.keys}),
        "keys": sorted({row[0] for row in sam.keys}),
        "issued_at": sam.issued_at.isoformat(),
        "distrusted_at": sam.distrusted_at and sam.distrusted_at.isoformat(),
    }
