# SPDX-License-Identifier: Apache-2.0
"""`citycard keys`: make the vault and its keys, list them by check value, change the passphrase."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from citycard.cli import key_life, options
from citycard.cli.options import AsJson, Home
from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.keys import KeyInfo

app = typer.Typer(
    help="The vault, its keys, their custodians and security modules. 密钥库、密钥与安全模块。",
    no_args_is_help=True,
)

KEYS_CHECK = declare(
    "KEYS_CHECK",
    "{count} of the keys in {file} are missing from the vault or have another check value: {names}. "
    "Find out which of the two is the scheme's before using either.",
    "{file} 中有 {count} 个密钥在密钥库中不存在或校验值不同：{names}。请先查明以何者为准。",
)
KEYS_CHECK_FILE = declare(
    "KEYS_CHECK_FILE",
    "{file} is not what `citycard keys list --json` prints: {why}.",
    "{file} 不是 `citycard keys list --json` 的输出：{why}。",
)

KEYS_NEW_PASSPHRASE = declare(
    "KEYS_NEW_PASSPHRASE",
    "The new passphrase is asked for in a terminal; without one give it with --new-file FILE.",
    "新口令须在终端中输入；没有终端时请用 --new-file 文件 给出。",
)
KEYS_NEW_FILE = declare(
    "KEYS_NEW_FILE",
    "The file {file} with the new passphrase cannot be read: {why}.",
    "无法读取新口令文件 {file}：{why}。",
)
KEYS_PASSPHRASE_TOKEN = declare(
    "KEYS_PASSPHRASE_TOKEN",
    "This home's keys are in a token, which has a PIN and no passphrase. Change the PIN with the token's own "
    "tool.",
    "本目录的密钥在令牌中，令牌只有 PIN 没有口令；请用令牌自带工具修改 PIN。",
)
SHOWN: Final = "{name:<12} {version:>7}  {suite_name:<5}  {check_value:<11}  {created}  {in_force}"


class SuiteName(StrEnum):
    """Cipher suites, as typed."""

    TRIPLE_DES = "3DES"
    SM4 = "SM4"


class TacModeName(StrEnum):
    """Where clearing computes TACs when the keys are in a token."""

    BULK = "bulk"
    SEALED = "sealed"


Module = Annotated[
    Path | None, typer.Option("--pkcs11", help="PKCS#11 module of a token (.so) that shall hold the keys.")
]
Suites = Annotated[
    list[SuiteName], typer.Option("--suite", help="Cipher suite; give the option twice for both.")
]
Version = Annotated[int, typer.Option("--version", min=1, max=255, help="Key version, as cards tell it.")]
NewFile = Annotated[
    Path | None, typer.Option("--new-file", help="File with the new passphrase; else it is asked for.")
]
ListFile = Annotated[
    Path | None, typer.Argument(help="A list kept from `citycard keys list --json`; the vault must agree.")
]
Moment = Annotated[datetime | None, typer.Option(help="First or last moment new cards get the key.")]


key_life.register(app)


@app.command()
def init(
    home: Home = options.HOME_DEFAULT,
    suites: Suites = [SuiteName.TRIPLE_DES],  # noqa: B006  Typer copies it
    pkcs11: Module = None,
    token: Annotated[str, typer.Option(help="Label of the token, with --pkcs11.")] = "citycard",
    tac: Annotated[
        TacModeName, typer.Option(help="Where clearing checks TACs, with --pkcs11.")
    ] = TacModeName.BULK,
    as_json: AsJson = False,
) -> None:
    """Make the vault, in a file or in a PKCS#11 token, and every root key of the scheme, version 1.

    The PIN of a token comes from CITYCARD_PIN, CITYCARD_PIN_FILE or a hidden prompt. Root keys that several
    custodians are to hold in shares are made by `keys ceremony make` instead.
    """
    from citycard.core.crypto import suite_named
    from citycard.keys import Place, create_vault, place_of, scheme_ceremony
    from citycard.keys.vault import VAULT_EXISTS

    place = place_of(home) if pkcs11 is None else Place(home, str(pkcs11.absolute()), token, tac.value)
    if place_of(home).exists:
        raise VAULT_EXISTS(path=place_of(home).title)
    vault = create_vault(place, lambda asked: options.secret(asked, confirm=True))
    made = scheme_ceremony(vault, [suite_named(suite) for suite in suites])
    options.say_notices(vault)
    typer.echo(f"Vault {place.title} made with {len(made)} keys. Write the check values down.", err=True)
    _show(made, as_json)


@app.command(name="list")
def list_keys(home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """List the keys: name, version, suite, check value, when new cards get it. Never the keys."""
    _show(options.open_vault(home).keys(), as_json)


@app.command()
def generate(
    name: Annotated[str, typer.Argument(help="purchase, load, tac, maintenance, control or batch.")],
    version: Version,
    suite: Annotated[SuiteName, typer.Option(help="Cipher suite.")] = SuiteName.TRIPLE_DES,
    home: Home = options.HOME_DEFAULT,
    not_before: Moment = None,
    not_after: Moment = None,
    as_json: AsJson = False,
) -> None:
    """Generate one root key: a new version, or a new suite."""
    from citycard.core.crypto import suite_named

    info = options.open_vault(home).generate(name, suite_named(suite), version, not_before, not_after)
    _show([info], as_json)


@app.command()
def retire(
    name: Annotated[str, typer.Argument(help="Name of the key.")],
    version: Version,
    not_after: Annotated[datetime, typer.Option(help="From this moment no new card gets the key.")],
    suite: Annotated[SuiteName, typer.Option(help="Cipher suite.")] = SuiteName.TRIPLE_DES,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Give a key to no new card from a moment on; the cards that have it are served as before."""
    from citycard.core.crypto import suite_named

    info = options.open_vault(home).retire(name, version, not_after, suite=suite_named(suite).id)
    _show([info], as_json)


@app.command()
def passphrase(home: Home = options.HOME_DEFAULT, new_file: NewFile = None) -> None:
    """Change the vault's passphrase; the old one comes from the environment or is asked for."""
    from citycard.keys import SoftVault

    vault = options.open_vault(home)
    if not isinstance(vault, SoftVault):
        raise KEYS_PASSPHRASE_TOKEN()
    if new_file is not None:
        vault.change_passphrase(_read_passphrase(new_file))
    elif sys.stdin.isatty():
        vault.change_passphrase(
            typer.prompt("New vault passphrase / 新口令", hide_input=True, confirmation_prompt=True)
        )
    else:
        raise KEYS_NEW_PASSPHRASE()
    typer.echo("Passphrase changed.", err=True)


@app.command()
def check(file: ListFile = None, home: Home = options.HOME_DEFAULT) -> None:
    """Check that the vault opens whole and, given a kept list, that every key on it is the same."""
    infos = options.open_vault(home).keys()
    if file is not None:
        kept = _kept(file)
        there = {(info.name, info.version, info.suite_name): info.check_value for info in infos}
        wrong = [key for key, value in kept.items() if there.get(key) != value]
        if wrong:
            names = ", ".join(f"{name} {version} {suite}" for name, version, suite in wrong)
            raise KEYS_CHECK(count=len(wrong), file=file, names=names)
        typer.echo(f"All {len(kept)} keys of {file} are in the vault.")
    typer.echo(f"The vault is whole: {len(infos)} keys.")


def _read_passphrase(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or "it is no UTF-8 text"
        raise KEYS_NEW_FILE(file=file, why=why) from None


def _kept(file: Path) -> dict[tuple[str, int, str], str]:
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["keys"]
        return {(row["name"], row["version"], row["suite"]): row["check_value"] for row in rows}
    except OSError as problem:
        raise KEYS_CHECK_FILE(file=file, why=problem.strerror) from None
    except (ValueError, KeyError, TypeError):
        raise KEYS_CHECK_FILE(file=file, why="its form is another") from None


def _row(info: KeyInfo) -> dict[str, Any]:
    row = asdict(info)
    row["suite"] = info.suite_name
    for name in ("created", "not_before", "not_after"):
        row[name] = row[name].isoformat() if row[name] else None
    return row


def _show(infos: list[KeyInfo], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"keys": [_row(info) for info in infos]}))
        return
    titles = ("NAME", "VERSION", "SUITE", "CHECK VALUE", "CREATED            ", "NEW CARDS")
    keys = ("name", "version", "suite_name", "check_value", "created", "in_force")
    typer.echo(SHOWN.format(**dict(zip(keys, titles, strict=True))))
    for info in infos:
        span = f"{info.not_before or ''} .. {info.not_after or ''}".strip()
        values = {name: getattr(info, name) for name in keys[:-1]}
        typer.echo(SHOWN.format(**values, in_force="always" if span == ".." else span))
