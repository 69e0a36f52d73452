# SPDX-License-Identifier: Apache-2.0
"""`citycard partners key`: keys that sign exchange files, ours and the members', and their days."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from citycard.cli import options
from citycard.cli.options import AsJson, Home

app = typer.Typer(
    no_args_is_help=True, help="Keys of the exchange: ours, the members', their days. 签名密钥。"
)
Org = Annotated[str, typer.Argument(help="Organisation code of the member.")]
First = Annotated[str, typer.Option("--from", help="First day on which it counts, YYYY-MM-DD.")]


def _open(home: Path) -> None:
    from citycard.office import setup

    setup.setup(home)
    setup.check_database()


@app.command("new")
def new(
    first: First,
    algorithm: Annotated[str, typer.Option(help="Ed25519 or SM2.")] = "SM2",
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make our next key, in the vault; we sign with it from its first day on. 新建密钥。"""
    _open(home)
    from citycard.office.partners import keyring

    key = keyring.make_key(algorithm, options.parse_date(first))
    told = {"algorithm": key.algorithm, "public_key": key.public.hex(), "fingerprint": key.id, "from": first}
    lines = f"public key {key.algorithm} {told['public_key']}\nfingerprint {key.id}\nsigns from {first}"
    typer.echo(json.dumps(told) if as_json else lines)


@app.command("add")
def add(
    org: Org,
    public_key: Annotated[str, typer.Argument(help="64 hex digits, or 130 for SM2.")],
    first: First,
    last: Annotated[str, typer.Option("--until", help="Last day; none: open.")] = "",
    algorithm: Annotated[str, typer.Option(help="Ed25519 or SM2; none: by the key's length.")] = "",
    home: Home = options.HOME_DEFAULT,
) -> None:
    """Add a key of a member beside those it has; compare its fingerprint by another way. 添加成员密钥。"""
    _open(home)
    from citycard.office.partners import desk, keyring

    desk.member(org)
    until = options.parse_date(last) if last else None
    key = keyring.add_key(org, public_key, algorithm, first=options.parse_date(first), last=until)
    typer.echo(f"{org} {key.algorithm} {key.id} {key.first} {key.last or '–'}")


@app.command("end")
def end(
    org: Org,
    fingerprint: Annotated[str, typer.Argument(help="The key's sixteen hex digits.")],
    last: Annotated[str, typer.Option("--until", help="Last day on which it counts.")],
    home: Home = options.HOME_DEFAULT,
) -> None:
    """Say on which day a member's key counts for the last time. 终止成员密钥。"""
    _open(home)
    from citycard.office.partners import keyring

    keyring.end_key(org, fingerprint, options.parse_date(last))
    typer.echo(f"{org} {fingerprint} {last}")


@app.command("list")
def list_(home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Print all keys, ours first: whose, algorithm, fingerprint, first and last day. 列出密钥。"""
    _open(home)
    from citycard.office.partners import keyring
    from citycard.office.partners.models import MemberKey, OwnKey

    columns = ("algorithm", "fingerprint", "public_key", "valid_from")
    found = [("ours", *row, None) for row in OwnKey.objects.values_list(*columns)]
    found += MemberKey.objects.values_list("member_id", *columns, "valid_until")
    names = ("org", "algorithm", "fingerprint", "public_key", "from", "until")
    rows = [dict(zip(names, (str(value or "") for value in row), strict=True)) for row in found]
    if as_json:
        typer.echo(json.dumps({"signs": keyring.signing_key().id, "keys": rows}))
        return
    for row in rows:
        typer.echo(
            f"{row['org']:<11} {row['algorithm']:<7} {row['fingerprint']} {row['from']} {row['until'] or '–'}"
        )
