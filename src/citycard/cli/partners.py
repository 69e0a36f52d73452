# SPDX-License-Identifier: Apache-2.0
"""`citycard partners`: take part in the exchange between cities, and look into its files."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from citycard.cli import options, partner_keys
from citycard.cli.options import AsJson, Home
from citycard.core.problem import declare

app = typer.Typer(no_args_is_help=True, help="Clearing with other cities: keys, members, files. 互联互通。")
app.add_typer(partner_keys.app, name="key")
Org = Annotated[str, typer.Argument(help="Organisation code, 11 digits or letters.")]
Day = Annotated[str, typer.Option("--date", help="Business date, YYYY-MM-DD.")]

HOW_UNKNOWN = declare(
    "HOW_UNKNOWN",
    "{value!r} is no way to pay a held date: say agreed or ours.",
    "“{value}”不是付款方式，请写 agreed 或 ours。",
)


def _show(found: Any, as_json: bool, text: str) -> None:
    typer.echo(json.dumps(found, ensure_ascii=False, default=str) if as_json else text)


@app.command()
def init(
    org: Org,
    hub: Annotated[
        str, typer.Option(help="Organisation code of the hub; the same as ours makes us the hub.")
    ],
    algorithm: Annotated[
        str, typer.Option(help="Ed25519, or SM2 (kept in the vault); an office that has a key keeps it.")
    ] = "Ed25519",
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Take part, and make the key our files are signed with; prints its public half. 加入互联互通。"""
    from citycard.office import setup

    folder = setup.setup(home)
    setup.check_database()
    from citycard.office.partners import desk, keyring

    key = keyring.first_key(folder, algorithm)
    desk.join(org, hub)
    told = {"org": org, "hub": hub, "algorithm": key.algorithm, "public_key": key.public.hex(),
            "fingerprint": key.id}  # fmt: skip
    _show(
        told,
        as_json,
        f"{org} takes part under {hub}\n"
        f"public key {key.algorithm} {told['public_key']}\nfingerprint {key.id}",
    )


@app.command()
def member(
    org: Org,
    participant: Annotated[str, typer.Option(help="Its 16 hex digits, as records carry them.")],
    name: Annotated[str, typer.Option(help="Name in English.")],
    name_zh: Annotated[str, typer.Option(help="Name in Chinese.")] = "",
    roles: Annotated[str, typer.Option(help="issuer, acquirer, hub; with commas.")] = "issuer,acquirer",
    public_key: Annotated[
        str, typer.Option(help="Its public key, the only one from now on: 64 hex digits, or 130 for SM2.")
    ] = "",
    box: Annotated[str, typer.Option(help="Folder of the drop box both reach.")] = "",
    url: Annotated[str, typer.Option(help="Address of its office, for the HTTPS carrier.")] = "",
    form: Annotated[str, typer.Option(help="Form of files we send it: txt or jsonl.")] = "txt",
    issuer: Annotated[
        str, typer.Option(help="Issuer on its cards (16 hex digits), for the white list.")
    ] = "",
    token: Annotated[
        bool, typer.Option("--token", help="Mint a token with which it reaches our API.")
    ] = False,
    home: Home = options.HOME_DEFAULT,
) -> None:
    """Add a member or change what is known of it. 添加成员。"""
    from citycard.office import setup

    setup.setup(home)
    setup.check_database()
    from citycard.office.partners import access, desk

    names = {"name_en": name, "name_zh": name_zh or name}
    more = {"public_key": public_key, "box": box, "url": url, "form": form}
    desk.add_member(org, participant=participant, roles=roles.split(","), **names, **more)
    if issuer:
        desk.add_issuer(issuer, org, **names)
    typer.echo(f"{org} {name}")
    if token:
        typer.echo(f"token {access.mint(org)} (shown this once)")


@app.command()
def issuer(
    issuer: Annotated[str, typer.Argument(help="Issuer on its cards: 16 hex digits.")],
    org: Annotated[str, typer.Argument(help="Organisation code of the member that answers for it.")],
    company: Annotated[str, typer.Option(help="Company code of the issuer: 11 digits or letters.")],
    name: Annotated[str, typer.Option(help="Name in English.")],
    name_zh: Annotated[str, typer.Option(help="Name in Chinese.")] = "",
    pan_prefix: Annotated[str, typer.Option(help="What its card numbers begin with.")] = "",
    valid_from: Annotated[str, typer.Option(help="First day, YYYY-MM-DD.")] = "2000-01-01",
    valid_until: Annotated[str, typer.Option(help="Last day; none: open.")] = "",
    accepted: Annotated[bool, typer.Option(help="Whether its cards are accepted.")] = True,
    home: Home = options.HOME_DEFAULT,
) -> None:
    """Put an issuer on the white list; a member may answer for several of them. 白名单发卡机构。"""
    from citycard.office import setup

    setup.setup(home)
    setup.check_database()
    from citycard.office.partners import desk

    desk.member(org)
    told: dict[str, Any] = {"name_en": name, "name_zh": name_zh or name, "pan_prefix": pan_prefix}
    told |= {"accepted": accepted, "valid_from": options.parse_date(valid_from)}
    told["valid_until"] = options.parse_date(valid_until) if valid_until else None
    desk.add_issuer(issuer.lower(), org, issuer_org=company, **told)
    typer.echo(f"{issuer.lower()} {org} {company}")


@app.command()
def rate(
    name: Annotated[str, typer.Argument(help="Name of the row; again with the same name changes it.")],
    charge_bp: Annotated[int, typer.Option(min=0, max=10_000, help="Whole fee in basis points.")],
    acquirer_bp: Annotated[int, typer.Option(min=0, max=10_000, help="Of it, back to the acquirer.")] = 0,
    issuer_bp: Annotated[int, typer.Option(min=0, max=10_000, help="Of it, to the issuer.")] = 0,
    valid_from: Annotated[str, typer.Option(help="First day, YYYY-MM-DD.")] = "2000-01-01",
    valid_until: Annotated[str, typer.Option(help="Last day; none: open.")] = "",
    acquirer: Annotated[str, typer.Option(help="Organisation; none: any.")] = "",
    issuer: Annotated[str, typer.Option(help="Company code; none: any.")] = "",
    mcc: Annotated[str, typer.Option(help="Merchant category; none: any.")] = "",
    home: Home = options.HOME_DEFAULT,
) -> None:
    """Set a row of the hub's contract. 设置费率。"""
    from citycard.office import setup

    setup.setup(home)
    setup.check_database()
    from citycard.core.interop.money import Rate
    from citycard.office.partners import desk

    until = options.parse_date(valid_until) if valid_until else None
    first = options.parse_date(valid_from)
    desk.set_rate(Rate(name, charge_bp, acquirer_bp, issuer_bp, first, until, acquirer, issuer, mcc))
    typer.echo(f"{name} {charge_bp} {acquirer_bp} {issuer_bp}")


@app.command()
def publish(day: Day, home: Home = options.HOME_DEFAULT) -> None:
    """The hub tells all members who takes part, whose cards are accepted, and the codes. 发布名单。"""
    from citycard.office import setup

    setup.setup(home)
    setup.check_database()
    from citycard.office.partners import lists

    lists.publish(options.parse_date(day))


@app.command()
def token(org: Org, home: Home = options.HOME_DEFAULT) -> None:
    """Keep the token with which we reach a member's office; it is asked for, or read from a pipe. 令牌。"""
    import sys

    from citycard.office import setup

    setup.setup(home)
    setup.check_database()
    from citycard.office.partners import desk, http

    desk.member(org)
    given = typer.prompt("Token / 令牌", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    http.keep_token(org, given.strip())
    typer.echo(f"{org}: kept")


@app.command()
def close(day: Day, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Do the exchange's part of a date: a city after its clearing, the hub when all have sent. 日终。"""
    from citycard.office import setup

    setup.setup(home)
    setup.check_database()
    from citycard.office.partners import evening

    told = evening.close(options.parse_date(day))
    _show(told, as_json, "\n".join(f"{name} {value}" for name, value in told.items()))


@app.command()
def exchange(home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Send what waits and take what has come, by drop box or HTTPS, with every member. 收发文件。"""
    from citycard.office import setup

    setup.setup(home)
    setup.check_database()
    from citycard.office.partners import desk, travel

    told = {}
    with options.progress_bar() as progress:
        members = desk.others()
        for number, one in enumerate(members, 1):
            visit = travel.visit(one)
            told[one.org] = {name: getattr(visit, name) for name in visit.__slots__}
            progress("members 成员", number, len(members))
    lines = [f"{org} {name} {len(found)}" for org, done in told.items() for name, found in done.items()]
    _show(told, as_json, "\n".join(lines))


@app.command()
def reconcile(home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Whether books, positions and files of the exchange agree; exit code 1 when not. 对账。"""
    from citycard.office import setup

    setup.setup(home)
    setup.check_database()
    from citycard.office.partners.reconcile import reconcile as check

    found = check()
    _show(found.as_json(), as_json, found.as_text())
    if not found.agrees:
        raise typer.Exit(1)


@app.command("held")
def held_(home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Dates whose payment is held because positions differ. 暂缓付款的日期。"""
    from citycard.office import setup

    setup.setup(home)
    setup.check_database()
    from citycard.office.partners.models import ExchangeHold

    names = ("told_fen", "ours_fen", "agreed_fen", "paid_fen", "disputed_fen", "state")
    found = [
        {"date": str(one)} | {name: getattr(one, name) for name in names}
        for one in ExchangeHold.objects.all()
    ]
    lines = [" ".join(f"{name} {value}" for name, value in one.items()) for one in found]
    _show(found, as_json, "\n".join(lines) or "none held 无")


@app.command()
def difference(day: Day, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """A held date: the hub's figures beside ours by counterparty, and the taps behind them. 头寸差异。"""
    from citycard.office import setup

    setup.setup(home)
    setup.check_database()
    from citycard.office.partners import held

    found = held.difference(options.parse_date(day)).as_json()
    lines = [f"{name} {value}" for name, value in found.items() if name not in ("lines", "taps")]
    for part in ("lines", "taps"):
        lines += [" ".join(f"{name} {value}" for name, value in one.items()) for one in found[part]]
    _show(found, as_json, "\n".join(lines))


@app.command("pay-held")
def pay_held(
    day: Day,
    how: Annotated[str, typer.Option(help="agreed: what both say, the rest is carried; ours: our net.")],
    words: Annotated[str, typer.Option(help="Why, in a few words.")],
    first: Annotated[str, typer.Option("--by", help="Who pays: a clearing officer's sign-in name.")],
    second: Annotated[str, typer.Option(help="Who agrees: another one's sign-in name.")],
    accepted: Annotated[
        bool, typer.Option("--accepted", help="The other side has accepted our figures in writing.")
    ] = False,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the two passwords from standard input.")
    ] = False,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Pay a held date: two people sign in; what is paid is never paid twice. 支付暂缓款项（双人复核）。"""
    on = options.parse_date(day)
    from citycard.office import setup

    setup.setup(home)
    setup.check_database()
    from citycard.cli.dual import Desk
    from citycard.office.partners import held
    from citycard.office.staff.people import signed_in

    if how not in ("agreed", "ours"):
        raise HOW_UNKNOWN(value=how)
    desk = Desk(stdin=stdin)
    people = [signed_in(name, desk.hidden(f"{name}: password 密码")) for name in (first, second)]
    way = held.AGREED if how == "agreed" else held.OURS
    done = held.pay(way, on, people[0], people[1], words, accepted=accepted)
    told = {
        "date": str(on),
        "state": done.state,
        "paid_fen": done.paid_fen,
        "disputed_fen": done.disputed_fen,
    }
    _show(told, as_json, "\n".join(f"{name} {value}" for name, value in told.items()))


@app.command()
def show(file: Annotated[Path, typer.Argument(help="An exchange file, under its own name.")]) -> None:
    """Print an exchange file's records as JSON lines; what is wrong is told by line. 查看文件。"""
    from citycard.core.interop import files

    name = files.FileName.parse(file.name)
    for record in files.read(name, file.read_bytes()):
        plain = {k: v.hex() if isinstance(v, bytes) else v for k, v in record.items()}
        typer.echo(json.dumps(plain, ensure_ascii=False, default=_plain))


@app.command()
def fields(
    kind: Annotated[str, typer.Argument(help="Two letters: CD, CL, FB, CR, BP, ED, CM, AD, UC, DC, BN, ...")],
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
    as_json: AsJson = False,
) -> None:
    """Print the columns of one kind of file: offset, length, kind, meaning, example. 单个文件的字段。"""
    from citycard.core.interop import describe
    from citycard.core.interop.files import FILE_KIND
    from citycard.core.interop.lists import FORMATS

    layout = FORMATS.get(kind.upper())
    if layout is None:
        raise FILE_KIND(found=kind, known=", ".join(FORMATS))
    names = ("offset", "bytes", "column", "kind", "meaning", "example")
    if not as_json:
        typer.echo(describe.table(layout, language))
        return
    plain = [
        tuple(str(c).strip("`") if isinstance(c, str) else c for c in row) for row in describe.rows(layout)
    ]
    told = {"file": layout.id, "bytes": layout.size, "source": layout.source, "once": layout.once}
    typer.echo(json.dumps(told | {"columns": [dict(zip(names, row, strict=True)) for row in plain]}))


@app.command()
def layouts(
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
) -> None:
    """Print the columns of every exchange file: offset, length, kind, meaning. 文件格式。"""
    from citycard.core.interop import describe

    typer.echo(describe.tables(language))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) or hasattr(value, "isoformat") else str(value)
