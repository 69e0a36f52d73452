# SPDX-License-Identifier: Apache-2.0
"""`citycard card`: look cards up and do to them what a counter does.

A refusal ends with exit code 3, its stable code and a sentence; `--json` gives either answer as one object.
Whoever may read the data folder acts as its administrator; dual control still takes a second person, who
types their own password.
"""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from citycard.cli import options
from citycard.cli.options import AsJson, Home
from citycard.core.money import yuan
from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.office.cards.models import Card
    from citycard.office.cards.verbs import Done, VerbRefusal
    from citycard.office.staff.roles import Actor

REFUSED_EXIT: Final = 3
LIST_MAX: Final = 1000  # rows of one listing; the console pages through more

SECOND_UNKNOWN = declare(
    "SECOND_UNKNOWN",
    "Name or password of the second person is wrong.",
    "复核人的用户名或密码有误。",
)
LOAD_NOT_POSTED = declare(
    "LOAD_NOT_POSTED",
    "There is no completed load {load} of card {pan}; look it up on the card's page.",
    "卡片 {pan} 没有已完成的充值 {load}，请在卡片页面核对。",
)
HOLDER_UNKNOWN = declare("HOLDER_UNKNOWN", "There is no holder {holder}.", "没有持卡人 {holder}。")

app = typer.Typer(
    help="Cards: look up, report lost, replace, refund; in a reader: info, load ... 卡片业务与读卡器操作。",
    no_args_is_help=True,
)
Pan = Annotated[str, typer.Argument(help="Card number: a 0 and 19 digits.")]
InHand = Annotated[
    int | None,
    typer.Option("--in-hand-fen", min=0, help="Balance read from the card in hand; leave out if it is not."),
]
Second = Annotated[
    str | None, typer.Option("--second", help="Staff name of the second person, who types their password.")
]


@app.command("list")
def list_cards(
    home: Home = options.HOME_DEFAULT,
    status: Annotated[str | None, typer.Option(help="Only cards in this state, e.g. lost.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX)] = 50,
    as_json: AsJson = False,
) -> None:
    """List cards: number, state, class, holder."""
    _office(home)
    from citycard.office.cards.models import Card

    found = Card.objects.select_related("holder")
    rows = [_shown(card) for card in (found.filter(status=status) if status else found)[:limit]]
    if as_json:
        typer.echo(json.dumps({"cards": rows}, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(f"{row['pan']}  {row['status']:12}  {row['card_class']:3}  {row['holder'] or '-'}")


@app.command()
def query(pan: Pan, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Show a card: state, holder, money, and what happened to it."""
    by = _office(home)
    from citycard.office.cards import verbs, view

    answer = verbs.query(pan, by)
    if isinstance(answer, verbs.VerbRefusal):
        _refused(answer, as_json)
    seen = view.whole(pan)
    if as_json:
        typer.echo(json.dumps(seen, ensure_ascii=False, default=str))
        return
    for name, value in seen.items():
        if name != "events":
            typer.echo(f"{name:18} {value}")
    for event in seen["events"]:
        typer.echo(
            f"  {event['at']}  {event['verb']:12} {event['actor']:16} {event['refusal'] or event['after']}"
        )


@app.command("stock-in")
def stock_in(pan: Pan, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Take a personalised card into stock."""
    by = _office(home)
    from citycard.office.cards import verbs

    _told(verbs.stock_in(pan, by), as_json)


@app.command()
def issue(
    pan: Pan,
    holder: Annotated[str | None, typer.Option(help="Holder's id; leave out for an anonymous card.")] = None,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Hand a card from stock out, for its deposit."""
    by = _office(home)
    from citycard.office.cards import verbs

    _told(verbs.issue(pan, by, _holder(holder) if holder else None), as_json)


@app.command()
def bind(pan: Pan, holder: str, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Name the holder of an anonymous card."""
    by = _office(home)
    from citycard.office.cards import verbs

    _told(verbs.bind(pan, _holder(holder), by), as_json)


@app.command()
def unbind(pan: Pan, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Make a card anonymous again."""
    by = _office(home)
    from citycard.office.cards import verbs

    _told(verbs.unbind(pan, by), as_json)


@app.command("report-loss")
def report_loss(pan: Pan, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Put a lost card on the hotlist."""
    by = _office(home)
    from citycard.office.cards import verbs

    _told(verbs.report_loss(pan, by), as_json)


@app.command("cancel-loss")
def cancel_loss(pan: Pan, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Take a card that was found again off the hotlist."""
    by = _office(home)
    from citycard.office.cards import verbs

    _told(verbs.cancel_loss(pan, by), as_json)


@app.command()
def block(
    pan: Pan,
    reason: Annotated[str, typer.Option(help="Why, in one word.")] = "risk",
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Withdraw a card from use and put it on the hotlist."""
    by = _office(home)
    from citycard.office.cards import verbs

    _told(verbs.block(pan, by, reason), as_json)


@app.command()
def unblock(pan: Pan, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Give a blocked card back to use."""
    by = _office(home)
    from citycard.office.cards import verbs

    _told(verbs.unblock(pan, by), as_json)


@app.command()
def replace(
    pan: Pan,
    new: Annotated[str, typer.Argument(help="Number of the new card, from stock.")],
    in_hand: InHand = None,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Replace a card by one from stock; balance and deposit go over."""
    by = _office(home)
    from citycard.office.cards import verbs

    _told(verbs.replace(pan, new, by, in_hand_fen=in_hand), as_json)


@app.command()
def refund(
    pan: Pan,
    in_hand: InHand = None,
    second: Second = None,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Take a card back for good; pay out balance and deposit."""
    by = _office(home)
    from citycard.office.cards import verbs

    _told(verbs.refund(pan, by, second=_second(second), in_hand_fen=in_hand), as_json)


@app.command()
def fund(
    pan: Pan,
    load: Annotated[str, typer.Argument(help="Id of the load that was made onto this card.")],
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Pay a load onto a replacement card out of what its predecessor held. Repeating changes nothing."""
    by = _office(home)
    from citycard.office.cards import payout
    from citycard.office.intake.models import Load

    if not Load.objects.filter(pk=load, card=pan, status=Load.Status.POSTED).exists():
        raise LOAD_NOT_POSTED(load=load, pan=pan)
    due_fen = payout.funded(pan, f"load:{load}", by)
    found = {"pan": pan, "load": load, "due_fen": due_fen}
    typer.echo(json.dumps(found) if as_json else f"{pan}: still due {yuan(due_fen)} yuan")


@app.command()
def migrate(
    pan: Pan,
    new: Annotated[str, typer.Argument(help="Number of the CPU card the money goes to.")],
    balance_fen: Annotated[int, typer.Argument(help="What the M1 card holds, in fen.", min=1)],
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Owe the balance of a taken-in M1 card to a CPU card, once. M1 卡余额迁移到 CPU 卡。"""
    by = _office(home)
    from citycard.office.cards import migration

    due_fen = migration.by_office(pan, new, balance_fen, by)
    found = {"pan": pan, "new": new, "due_fen": due_fen}
    typer.echo(
        json.dumps(found) if as_json else f"{new}: due {yuan(due_fen)} yuan; load it, then `card fund`"
    )


@app.command()
def destroy(
    pan: Pan, second: Second = None, home: Home = options.HOME_DEFAULT, as_json: AsJson = False
) -> None:
    """Destroy a returned or spoiled card before a witness."""
    by = _office(home)
    from citycard.office.cards import verbs

    _told(verbs.destroy(pan, by, second=_second(second)), as_json)


def _office(home: Path) -> Actor:
    """Start the office of this folder; whoever runs the command acts as its administrator."""
    from citycard.office.setup import check_database, setup

    setup(home)
    check_database()
    from citycard.office.staff.roles import Actor, Role

    return Actor(f"cli:{getpass.getuser()}", frozenset({Role.ADMINISTRATOR}))


def _second(name: str | None) -> Actor | None:
    if name is None:
        return None
    from django.contrib.auth import authenticate

    from citycard.office.staff.roles import actor_of

    password = typer.prompt(f"Password of {name} / {name} 的密码", hide_input=True, err=True)
    user = authenticate(username=name, password=password)
    if user is None:
        raise SECOND_UNKNOWN()
    return actor_of(user)


def _holder(holder: str) -> Any:
    from uuid import UUID

    from citycard.office.holders.models import Holder

    try:
        found = Holder.objects.filter(pk=UUID(holder)).first()
    except ValueError:
        found = None
    if found is None:
        raise HOLDER_UNKNOWN(holder=holder)
    return found


def _told(answer: Done | VerbRefusal, as_json: bool) -> None:
    from citycard.office.cards.verbs import Done

    if not isinstance(answer, Done):
        _refused(answer, as_json)
        return
    if as_json:
        told = {"ok": True, "verb": answer.verb, "before": answer.before, "paid_fen": answer.paid_fen}
        typer.echo(json.dumps({**told, **answer.detail, **_shown(answer.card)}, ensure_ascii=False))
        return
    paid = f"; {yuan(abs(answer.paid_fen))} {'to pay' if answer.paid_fen > 0 else 'to hand out'}"
    typer.echo(f"{answer.card.pan}: {answer.before} -> {answer.after}{paid if answer.paid_fen else ''}")


def _refused(answer: VerbRefusal, as_json: bool) -> None:
    from citycard.cli import language

    if as_json:
        told = {"ok": False, "code": answer.code, "verb": answer.verb, "pan": answer.pan}
        titles = {"en": answer.title("en"), "zh": answer.title("zh")}
        typer.echo(json.dumps({**told, **titles}, ensure_ascii=False))
    else:
        typer.echo(f"citycard: {answer.code}: {answer.title(language())} ({answer.pan})", err=True)
    raise typer.Exit(REFUSED_EXIT)


def _shown(card: Card) -> dict[str, Any]:
    return {
        "pan": card.pan,
        "status": str(card.status),
        "card_class": card.card_class,
        "holder": str(card.holder_id) if card.holder_id else None,
        "deposit_fen": card.deposit_fen,
    }
