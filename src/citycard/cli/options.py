# SPDX-License-Identifier: Apache-2.0
"""What the commands share: the home folder, the passphrase, dates, ports, a progress bar."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.keys.place import Ask, Opened, Place

HOME_DEFAULT: Final = Path("citydata")
Home = Annotated[
    Path,
    typer.Option(
        "--home", envvar="CITYCARD_HOME", help="Folder that holds all state.", show_default="citydata"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]

PASSPHRASE_FILE = declare(
    "PASSPHRASE_FILE",
    "{variable} names {path}, which cannot be read: {why}.",
    "{variable} 指向的 {path} 无法读取：{why}。",
)
PASSPHRASE_MISSING = declare(
    "PASSPHRASE_MISSING",
    "The vault needs its passphrase: set CITYCARD_PASSPHRASE or CITYCARD_PASSPHRASE_FILE, "
    "or run in a terminal and type it.",
    "打开密钥库需要口令：请设置 CITYCARD_PASSPHRASE 或 CITYCARD_PASSPHRASE_FILE，或在终端中运行。",
)
PIN_MISSING = declare(
    "PIN_MISSING",
    "The {token} needs its PIN: set CITYCARD_PIN or CITYCARD_PIN_FILE, or run in a terminal and type it.",
    "打开 {token} 需要 PIN：请设置 CITYCARD_PIN 或 CITYCARD_PIN_FILE，或在终端中运行。",
)
DATE_INVALID = declare(
    "DATE_INVALID",
    "{value!r} is no date: write it as YYYY-MM-DD.",
    "“{value}”不是日期，请写成 YYYY-MM-DD。",
)
MONTH_INVALID = declare(
    "MONTH_INVALID",
    "{value!r} is no month: write it as YYYY-MM.",
    "“{value}”不是月份，请写成 YYYY-MM。",
)
PORT_IN_USE = declare(
    "PORT_IN_USE",
    "Port {port} of {host} is in use: stop the program that holds it or choose another with --port.",
    "{host} 的端口 {port} 已被占用：请停止占用它的程序，或用 --port 另选端口。",
)

Progress = Callable[[str, int, int], None]


def passphrase(*, confirm: bool = False) -> str:
    """The vault's passphrase from the environment, a file, or a hidden prompt."""
    given = _given("CITYCARD_PASSPHRASE")
    if given:
        return given
    if not sys.stdin.isatty():
        raise PASSPHRASE_MISSING()
    return str(typer.prompt("Vault passphrase / 密钥库口令", hide_input=True, confirmation_prompt=confirm))


def secret(place: Place, *, confirm: bool = False) -> str:
    """What opens the vault of a home: its passphrase, or the token's PIN."""
    if not place.in_token:
        return passphrase(confirm=confirm)
    given = _given("CITYCARD_PIN")
    if given:
        return given
    if not sys.stdin.isatty():
        raise PIN_MISSING(token=place.title)
    return str(typer.prompt(f"PIN of {place.title} / 令牌 PIN", hide_input=True))


def new_secret(home: Path) -> Ask:
    """Asks for the secret of a home's vault, twice when the vault is still to be made."""
    from citycard.keys import place_of

    fresh = not place_of(home).exists
    return lambda place: secret(place, confirm=fresh)


def keep_secret(home: Path) -> None:
    """Ask for what opens the vault now and leave it where the office's own processes look for it.

    A token is opened once to see that it is there, and what it does not do itself is said.
    """
    from citycard.keys import Pkcs11Vault, place_of

    place = place_of(home)
    os.environ.setdefault("CITYCARD_PIN" if place.in_token else "CITYCARD_PASSPHRASE", secret(place))
    if place.in_token:
        vault = open_vault(home)
        assert isinstance(vault, Pkcs11Vault)
        vault.close()


def open_vault(home: Path) -> Opened:
    """The vault of a home, opened; what it does outside its hardware is said on standard error."""
    from citycard.keys import place

    vault = place.open_vault(place.place_of(home), secret)
    say_notices(vault)
    return vault


def open_or_create(home: Path) -> Opened:
    """The vault of a home, a new soft vault where there is none."""
    from citycard.keys import create_vault, place_of

    place = place_of(home)
    return open_vault(home) if place.exists else create_vault(place, new_secret(home))


def say_notices(vault: Opened) -> None:
    """Say what a vault does outside its hardware."""
    from citycard.cli import language

    for notice in vault.notices():
        typer.echo(f"citycard: {notice.code}: {notice.text(language())}", err=True)


def _given(variable: str) -> str:
    """What the environment gives, by itself or by the file it names; empty when it gives nothing."""
    value = os.environ.get(variable)
    if value:
        return value
    file = os.environ.get(f"{variable}_FILE")
    if not file:
        return ""
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\n")
    except OSError as problem:
        raise PASSPHRASE_FILE(variable=f"{variable}_FILE", path=file, why=problem.strerror) from None


def parse_date(value: str) -> date:
    """A date as people type it."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise DATE_INVALID(value=value) from None


def parse_month(value: str) -> date:
    """The first day of a month as people type it."""
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}", value):
            raise ValueError
        return date.fromisoformat(f"{value}-01")
    except ValueError:
        raise MONTH_INVALID(value=value) from None


def who() -> str:
    """Whom the audit log names: the operator's own account."""
    import getpass

    return f"cli:{getpass.getuser()}"[:150]


def free_port(host: str, port: int) -> None:
    """Refuse early and in words when the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise PORT_IN_USE(host=host, port=port) from None


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on standard error: call with (what, done, total); a new `what` starts a new line."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield advance
