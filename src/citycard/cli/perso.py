# SPDX-License-Identifier: Apache-2.0
"""`citycard card order | perso-data | personalise`: from an order file to cards in stock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from citycard.cli import options
from citycard.cli.options import AsJson, Home
from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.keys.perso_file import PersoFile
    from citycard.keys.vault import Vault
    from citycard.office.issuing.line import Tray
    from citycard.office.issuing.models import CardOrder
    from citycard.office.issuing.report import Report
    from citycard.office.staff.roles import Actor

INCOMPLETE_EXIT: Final = 3
EMULATED: Final = "emulated"
WAIT_S: Final = 30

PERSO_READ = declare(
    "PERSO_READ",
    "The personalisation data {path} cannot be read: {why}.",
    "无法读取个人化数据 {path}：{why}。",
)
OrderFile = Annotated[Path, typer.Argument(help="Order file, .json or .csv.")]


def order(file: OrderFile, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Order cards (订卡): reserve the numbers an order file asks for. Repeating changes nothing."""
    placed = _placed(file, home)
    said = {"order": placed.name, "issuer": placed.issuer_id, "cards": placed.count}
    typer.echo(
        json.dumps(said) if as_json else f"order {placed.name}: {placed.count} cards of {placed.issuer_id}"
    )


def perso_data(
    name: Annotated[str, typer.Argument(help="Name of a placed order.")],
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make an order's personalisation data (个人化数据), sealed for this vault. Repeating changes nothing."""
    _setup(home)
    from citycard.office.issuing.data import make_data, order_named

    path = make_data(order_named(name), options.open_vault(home))
    typer.echo(json.dumps({"order": name, "data": str(path)}) if as_json else str(path))


def personalise(batch: Path, reader: str, transport_version: int, home: Path, as_json: bool) -> None:
    """Personalise an order (个人化): write each card, read it back, enter it into stock; go on after a stop.

    Given an order file it places the order and makes its data first. Ends with 3 while numbers are left.
    """
    vault = options.open_vault(home)
    data, folder = _data(batch, home, vault)
    if reader == EMULATED:
        report = _run(vault, _emulated(vault, data, folder), data, folder, emulated_version())
    else:
        from citycard.cli.perso_reader import ReaderTray

        with ReaderTray(reader, WAIT_S) as tray:
            report = _run(vault, tray, data, folder, transport_version)
    report.save(folder)
    typer.echo(json.dumps(report.to_plain(), ensure_ascii=False) if as_json else report.text(), nl=as_json)
    if not report.complete:
        raise typer.Exit(INCOMPLETE_EXIT)


def emulated_version() -> int:
    """The version of the transport key of emulated chips."""
    from citycard.office.issuing.tray import TRANSPORT_VERSION

    return TRANSPORT_VERSION


def register(app: typer.Typer) -> None:
    """Add the commands to `citycard card`; `personalise` is reached by the `--batch` of its namesake."""
    app.command("order")(order)
    app.command("perso-data")(perso_data)


def _run(vault: Vault, tray: Tray, data: PersoFile, folder: Path, transport_version: int) -> Report:
    from citycard.office.issuing.line import Line

    line = Line(vault, tray, _actor(), transport_version=transport_version)
    with options.progress_bar() as progress:
        return line.run(data, folder, lambda done, total: progress("cards 制卡", done, total))


def _data(batch: Path, home: Path, vault: Vault) -> tuple[PersoFile, Path]:
    """The data of a batch, opened, and the folder its journal is kept in."""
    from citycard.keys import perso_file

    path = batch
    if batch.suffix.lower() != perso_file.SUFFIX:
        placed = _placed(batch, home)
        from citycard.office.issuing.data import make_data

        path = make_data(placed, vault)
    _setup(home)
    from citycard.office.issuing.data import folder

    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise PERSO_READ(path=path, why=problem.strerror) from None
    data = perso_file.read(vault, raw, path)
    return data, folder(data.head.order)


def _emulated(vault: Vault, data: PersoFile, folder: Path) -> Tray:
    from citycard.core.card.profiles import PROFILES
    from citycard.office.issuing.tray import EmulatedTray

    return EmulatedTray(vault, folder, PROFILES[data.head.profile], data.head.algorithm)


def _placed(file: Path, home: Path) -> CardOrder:
    _setup(home)
    from citycard.office.issuing.orders import place, read_order

    return place(read_order(file), _actor())


def _setup(home: Path) -> None:
    from citycard.office.setup import check_database, setup

    setup(home)
    check_database()


def _actor() -> Actor:
    import getpass

    from citycard.office.staff.roles import Actor, Role

    return Actor(f"cli:{getpass.getuser()}", frozenset({Role.ADMINISTRATOR}))
