# SPDX-License-Identifier: Apache-2.0
"""`citycard keys ceremony`: root keys from custodians' components, made again from them, protocols shown.

A component is seen by its custodian alone, on the screen or in a file under that custodian's passphrase; it
is on no disk in clear, and the root secret is in memory only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citycard.cli import dual, options
from citycard.cli.dual import CustodianNames, Desk, FromStdin
from citycard.cli.options import AsJson, Home
from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.keys import KeyInfo
    from citycard.keys.place import Opened
    from citycard.keys.protocol import Protocol
    from citycard.keys.secret import KeyBytes
    from citycard.keys.shares import Component

app = typer.Typer(
    help="Root keys from custodians' components. 密钥仪式：分量生成与恢复。", no_args_is_help=True
)

CEREMONY_OTHER = declare(
    "CEREMONY_OTHER",
    "The components give other keys than those there are: {names}. Nothing was changed; find out from which "
    "ceremony the vault's keys come.",
    "由分量得到的密钥与现有密钥不同：{names}。未作更改，请查明现有密钥来自哪次仪式。",
)
CEREMONY_OWN = declare(
    "CEREMONY_OWN",
    "Custodians bring components of their own with --method xor, 64 hex digits each ({why}).",
    "自带分量须使用 --method xor，每个分量为 64 位十六进制数字（{why}）。",
)

Pdf = Annotated[Path | None, typer.Option("--pdf", help="Write the protocol to this file, to be signed.")]
SuiteNames = Annotated[list[str], typer.Option("--suite", help="3DES or SM4; twice for both.")]
KeyVersion = Annotated[int, typer.Option("--version", min=1, max=255, help="Version of the keys made.")]
ShareFiles = Annotated[
    list[Path], typer.Option("--share-file", help="A custodian's share file; once for each.")
]


@app.command()
def make(
    custodians: CustodianNames,
    threshold: Annotated[int, typer.Option(help="How many components give the keys again.")] = 2,
    method: Annotated[str, typer.Option(help="shamir (M of N) or xor (all of them).")] = "shamir",
    own: Annotated[
        bool, typer.Option("--own", help="Custodians bring components (xor): hex, typed.")
    ] = False,
    suites: SuiteNames = ["3DES"],  # noqa: B006  Typer copies it
    version: KeyVersion = 1,
    shares_to: Annotated[
        Path | None, typer.Option(help="Folder for share files under passphrases, instead of the screen.")
    ] = None,
    pdf: Pdf = None,
    stdin: FromStdin = False,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make the root keys from a new root secret and give each custodian a component (密钥仪式).

    Every custodian sets, or types, a passphrase; with --shares-to it seals that custodian's share file. The
    vault is made if the home has none. --stdin takes the passphrases (then, with --own, the components) in
    the order of the custodians.
    """
    from citycard.keys.custodians import Custodians, check_two
    from citycard.keys.shares import METHODS, check_people

    check_two(custodians)
    need = len(custodians) if method == "xor" else threshold
    if method not in METHODS:
        raise typer.BadParameter(f"the methods are {', '.join(METHODS)}", param_hint="--method")
    check_people(method, need, len(custodians))
    desk, register = Desk(stdin=stdin), Custodians(home)
    fresh = not register.names()  # later ones are added by `enrol`, which the earlier ones agree to
    passphrases = [
        desk.hidden(
            f"Passphrase of custodian {name} / 保管员 {name} 的口令", confirm=name not in register.names()
        )
        for name in custodians
    ]
    for name, passphrase in zip(custodians, passphrases, strict=True):
        register.enrol(name, passphrase) if fresh else register.confirm(name, passphrase)
    secret, components = _components(desk, custodians, method, need, own)
    vault = options.open_or_create(home)
    _refuse_other(vault, secret, suites, version)
    _hand_out(desk, custodians, components, passphrases, shares_to)
    infos = _installed(vault, secret, suites, version)
    made = dual.record(
        home, "make", custodians, keys=infos, components=list(zip(custodians, components, strict=True)),
        method=method, needed=f"{need} of {len(custodians)}", version=version,
        secret_check_value=components[0].mark.hex().upper(), suites=", ".join(suites),
    )  # fmt: skip
    tell(made, infos, pdf, as_json)


@app.command()
def restore(
    custodians: CustodianNames,
    suites: SuiteNames = ["3DES"],  # noqa: B006  Typer copies it
    version: KeyVersion = 1,
    share_files: ShareFiles = [],  # noqa: B006
    pdf: Pdf = None,
    stdin: FromStdin = False,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make the root keys again from components, in this home's vault or a new one (恢复密钥).

    Components are typed unseen by the custodians named, or come from share files, whose passphrases are
    typed. Keys that are there must be the same.
    """
    from citycard.keys.custodians import check_two
    from citycard.keys.shares import combine

    check_two(custodians)
    components = gathered(Desk(stdin=stdin), custodians, share_files)
    secret = combine(components)
    vault = options.open_or_create(home)
    infos = _installed(vault, secret, suites, version)
    made = dual.record(
        home, "restore", custodians, keys=infos, version=version, suites=", ".join(suites),
        secret_check_value=components[0].mark.hex().upper(),
    )  # fmt: skip
    tell(made, infos, pdf, as_json)


@app.command()
def enrol(
    custodians: CustodianNames,
    confirmed_by: Annotated[
        list[str], typer.Option(help="Two custodians there are, who agree; not needed for the first.")
    ] = [],  # noqa: B006
    stdin: FromStdin = False,
    home: Home = options.HOME_DEFAULT,
) -> None:
    """Register custodians, each with a passphrase of their own (登记保管员)."""
    from citycard.keys.custodians import Custodians, check_two

    desk, register = Desk(stdin=stdin), Custodians(home)
    if register.names():
        dual.confirm_two(home, confirmed_by, desk)
    else:
        check_two(custodians)
    for name in custodians:
        register.enrol(
            name, desk.hidden(f"Passphrase of custodian {name} / 保管员 {name} 的口令", confirm=True)
        )
    dual.record(home, "enrol", confirmed_by or custodians, custodians=", ".join(custodians))


@app.command()
def show(
    number: Annotated[int | None, typer.Argument(help="Which protocol; the newest if left out.")] = None,
    pdf: Pdf = None,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show a protocol, with the chain of all of them checked; --pdf puts it on paper (操作记录)."""
    from citycard.keys import protocol

    made = protocol.numbered(home, number)
    if as_json:
        typer.echo(json.dumps(plain(made), ensure_ascii=False))
    else:
        typer.echo(f"{made.number}  {made.at}  {made.title('en')} {made.title('zh')}  {', '.join(made.by)}")
        for title, value in protocol.told(made):
            typer.echo(f"  {title}: {value}")
        for row in (*made.components, *made.keys):
            typer.echo("  " + "  ".join(str(value) for value in row.values() if value is not None))
        typer.echo(f"  {made.hash}")
    if pdf is not None:
        dual.print_protocol(made, pdf)


def gathered(desk: Desk, custodians: Sequence[str], share_files: Sequence[Path]) -> list[Component]:
    """Components: out of share files when there are any, else typed by each custodian."""
    from citycard.keys.custodians import read_share
    from citycard.keys.shares import parse

    if share_files:
        return [
            read_share(file, desk.hidden(f"Passphrase of {file.name} / {file.name} 的口令"))
            for file in share_files
        ]
    return [parse(desk.hidden(f"Component of {name} / {name} 的分量")) for name in custodians]


def plain(made: Protocol) -> dict[str, Any]:
    """A protocol as plain values."""
    from dataclasses import asdict

    return asdict(made)


def _components(
    desk: Desk, custodians: Sequence[str], method: str, need: int, own: bool
) -> tuple[KeyBytes, list[Component]]:
    """The root secret and its components: drawn here, or what the custodians brought."""
    from citycard.keys.secret import KeyBytes
    from citycard.keys.shares import SECRET_SIZE, Component, join_own, secret_mark, split

    if not own:
        secret = KeyBytes(os.urandom(SECRET_SIZE))
        return secret, split(secret, method, need, len(custodians), os.urandom)
    if method != "xor":
        raise CEREMONY_OWN(why=f"the method is {method}")
    parts = []
    for name in custodians:
        try:
            part = KeyBytes(bytes.fromhex(desk.hidden(f"Component {name} brought / {name} 自带的分量")))
        except ValueError:
            raise CEREMONY_OWN(why="that is no hex") from None
        if len(part) != SECRET_SIZE:
            raise CEREMONY_OWN(why=f"that are {2 * len(part)}")
        parts.append(part)
    secret = join_own(parts)
    mark, count = secret_mark(secret), len(parts)
    return secret, [Component(method, count, count, n, mark, part) for n, part in enumerate(parts, 1)]


def _hand_out(
    desk: Desk,
    custodians: Sequence[str],
    components: Sequence[Component],
    passphrases: Sequence[str],
    shares_to: Path | None,
) -> None:
    """Each custodian gets a component: a sealed file, or a look at the screen."""
    from citycard.keys.custodians import SHARE_SUFFIX, write_share

    for name, one, passphrase in zip(custodians, components, passphrases, strict=True):
        if shares_to is None:
            desk.private(name, one.text(), one.check_value)
        else:
            write_share(shares_to / f"{one.mark.hex()}-{one.number}{SHARE_SUFFIX}", one, passphrase)


def _refuse_other(vault: Opened, secret: KeyBytes, suites: Sequence[str], version: int) -> None:
    """CEREMONY_OTHER when the vault has keys of that version that this secret does not give."""
    from citycard.core.crypto import SUITES, suite_named
    from citycard.keys.ceremony import ROOTS, root_key

    chosen, held = {suite_named(suite).id for suite in suites}, vault.keys()
    wrong = [
        f"{info.name} {version} {info.suite_name}"
        for info in held
        if info.name in ROOTS and info.version == version and info.suite in chosen
        and SUITES[info.suite].check_value(root_key(secret, info.name, version, info.suite)).hex().upper()
        != info.check_value
    ]  # fmt: skip
    if wrong:
        raise CEREMONY_OTHER(names=", ".join(wrong))


def _installed(vault: Opened, secret: KeyBytes, suites: Sequence[str], version: int) -> list[KeyInfo]:
    """The keys, in the vault. CEREMONY_OTHER."""
    from citycard.core.crypto import suite_named
    from citycard.keys.ceremony import keys_of_secret

    _refuse_other(vault, secret, suites, version)
    return keys_of_secret(vault, secret, [suite_named(suite) for suite in suites], version)


def tell(made: Protocol, infos: Sequence[KeyInfo], pdf: Path | None, as_json: bool) -> None:
    dual.print_protocol(made, pdf)
    if as_json:
        typer.echo(json.dumps(plain(made), ensure_ascii=False))
        return
    for info in infos:
        typer.echo(
            f"{info.name:14}{info.version:>4}  {info.suite_name:6}check value / 校验值 {info.check_value}"
        )
