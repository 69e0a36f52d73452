# SPDX-License-Identifier: Apache-2.0
"""`citycard keys rollover | destroy | import`: what happens to keys after the ceremony, by two people."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from citycard.cli import ceremony, dual, options, sams
from citycard.cli.ceremony import Pdf, ShareFiles
from citycard.cli.dual import CustodianNames, Desk, FromStdin
from citycard.cli.options import AsJson, Home
from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.keys import KeyInfo

KEYS_IN_USE = declare(
    "KEYS_IN_USE",
    "The key {name} version {version} ({suite}) is needed by {cards} cards in force and {sams} security "
    "modules in use. Replace them first; --force destroys it all the same.",
    "密钥 {name} 版本 {version}（{suite}）仍被 {cards} 张有效卡和 {sams} 个在用安全模块使用；请先更换。"
    "--force 可强制销毁。",
)
KEY_TYPED = declare(
    "KEY_TYPED",
    "A key is typed as 32 hex digits.",
    "密钥须输入为 32 位十六进制数字。",
)
Name = Annotated[str, typer.Argument(help="Name of the key.")]
Version = Annotated[int, typer.Option("--version", min=1, max=255, help="Version of the key.")]
Suite = Annotated[str, typer.Option("--suite", help="3DES or SM4.")]


def rollover(
    start: Annotated[
        datetime, typer.Option("--from", help="From this moment new cards get the new version.")
    ],
    custodians: CustodianNames,
    from_components: Annotated[
        bool, typer.Option("--components", help="Derive the keys from the custodians' components.")
    ] = False,
    share_files: ShareFiles = [],  # noqa: B006
    pdf: Pdf = None,
    stdin: FromStdin = False,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Give new cards a new version of every key from a moment on; old cards work as before (密钥换版).

    The new keys are drawn in the vault, or with --components (or --share-file) derived from the custodians'
    root secret, which then gives them again as it gives the old ones.
    """
    from citycard.keys.ceremony import roll_over
    from citycard.keys.shares import combine

    desk = Desk(stdin=stdin)
    dual.confirm_two(home, custodians, desk)
    secret = None
    if from_components or share_files:
        secret = combine(ceremony.gathered(desk, custodians, share_files))
    infos = roll_over(options.open_vault(home), start, secret=secret)
    made = dual.record(
        home, "rollover", custodians, keys=infos, start=start.isoformat(), version=infos[0].version,
        source="components" if secret else "vault",
    )  # fmt: skip
    ceremony.tell(made, infos, pdf, as_json)


def destroy(
    name: Name,
    version: Version,
    custodians: CustodianNames,
    suite: Suite = "3DES",
    force: Annotated[bool, typer.Option("--force", help="Even if cards or modules need it.")] = False,
    pdf: Pdf = None,
    stdin: FromStdin = False,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Destroy a key for good, before two custodians, with a protocol (密钥销毁). Backups go by hand."""
    from citycard.core.crypto import suite_named

    dual.confirm_two(home, custodians, Desk(stdin=stdin))
    vault, chosen = options.open_vault(home), suite_named(suite).id
    cards, modules = _needed(home, name, version, chosen)
    if (cards or modules) and not force:
        raise KEYS_IN_USE(name=name, version=version, suite=suite, cards=cards, sams=modules)
    info: KeyInfo = vault.destroy(name, version, suite=chosen)
    made = dual.record(
        home, "destroy", custodians, keys=[info], cards_in_force=cards, modules_in_use=modules, forced=force
    )
    ceremony.tell(made, [info], pdf, as_json)


def import_key(
    name: Name,
    version: Version,
    suite: Suite = "3DES",
    stdin: FromStdin = False,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Take in a key made elsewhere, typed unseen: a card maker's transport key (导入密钥)."""
    import getpass

    from citycard.core.crypto import suite_named
    from citycard.keys.secret import KeyBytes

    vault = options.open_vault(home)
    try:
        key = KeyBytes(bytes.fromhex(Desk(stdin=stdin).hidden(f"Key {name} version {version}, hex / 密钥")))
    except ValueError:
        raise KEY_TYPED() from None
    info = vault.import_key(name, suite_named(suite), version, key)
    made = dual.record(home, "import", [getpass.getuser()], keys=[info])
    ceremony.tell(made, [info], None, as_json)


def register(app: typer.Typer) -> None:
    """Add the commands to `citycard keys`."""
    app.add_typer(ceremony.app, name="ceremony")
    app.add_typer(sams.app, name="sam")
    app.command()(rollover)
    app.command()(destroy)
    app.command("import")(import_key)


def _needed(home: Path, name: str, version: int, suite: int) -> tuple[int, int]:
    """Cards in force and modules in use that have the key; none where there is no office."""
    if not dual.office_there(home):
        return 0, 0
    from citycard.office.issuing.needed import cards_with, sams_with

    return cards_with(name, version, suite), sams_with(name, version, suite)
