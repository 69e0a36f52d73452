# SPDX-License-Identifier: Apache-2.0
"""`citycard card personalise`: make one blank card in a reader the card of an issuer.

With an office in the home the card is ordered there (its number is reserved before the first byte is
written), and registered when it has been read back; without one the issuer and number are given. The work
itself is `terminal.station.personalise_card`.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from citycard.cli import desk, options
from citycard.cli.desk import Image, Reader, Record, Trace, Wait, card_on_desk
from citycard.cli.options import AsJson, Home
from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.keys import Vault
    from citycard.office.staff.roles import Actor
    from citycard.terminal.station import PersoData

GET_UID: Final = bytes.fromhex("FFCA000000")
YEARS: Final = 10
FACTORY_KEY: Final = b"\xff" * 16  # what card makers leave in sample cards, and `card emulate` in its blanks

PERSO_WHO = declare(
    "PERSO_WHO",
    "There is no office in {home} to order a card from: give --issuer (16 hex digits) and --pan (20 digits).",
    "{home} 中没有后台可供订卡：请给出 --issuer（16 位十六进制）和 --pan（20 位数字）。",
)
PERSO_NUMBER = declare(
    "PERSO_NUMBER",
    "{what}: an issuer has 16 hex digits and a card number 20 digits, of which the first is 0.",
    "{what}：发卡机构为 16 位十六进制，卡号为以 0 开头的 20 位数字。",
)
PERSO_ORDERED = declare(
    "PERSO_ORDERED",
    "Card {pan} is not waiting to be made in the office. Order it, or leave --pan out for the next number.",
    "后台中没有待制卡片 {pan}。请先订卡，或省略 --pan 以取下一个卡号。",
)
PERSO_BEGUN = declare(
    "PERSO_BEGUN",
    "The card holds the number {pan} already. If it was torn away while it was made, go on with --pan {pan}; "
    "else put a blank card on.",
    "卡片中已有卡号 {pan}。如为制卡中断的卡片，请加 --pan {pan} 继续；否则请换一张白卡。",
)
PERSO_TRANSPORT_FILE = declare(
    "PERSO_TRANSPORT_FILE",
    "{path} does not hold a transport key: 32 hex digits and nothing else.",
    "{path} 中不是传输密钥：应只有 32 位十六进制数字。",
)
PERSO_TRANSPORT = declare(
    "PERSO_TRANSPORT",
    "The vault has no transport key of the card maker. Give its file with --transport-key, or --factory-key "
    "for sample and emulated cards.",
    "密钥库中没有卡厂传输密钥。请用 --transport-key 给出密钥文件；样卡和模拟卡可用 --factory-key。",
)


def personalise(
    reader: Reader = "",
    image: Image = None,
    batch: Annotated[
        Path | None,
        typer.Option(help="Make a whole order: its file (.json, .csv) or its personalisation data (.ccp)."),
    ] = None,
    transport_version: Annotated[
        int, typer.Option(min=1, max=255, help="With --batch: version of the card maker's key in the vault.")
    ] = 1,
    home: Home = options.HOME_DEFAULT,
    issuer: Annotated[str, typer.Option(help="Issuer, 16 hex digits.")] = "",
    pan: Annotated[str, typer.Option(help="Card number; with an office: the next one.")] = "",
    card_class: Annotated[int, typer.Option(min=1, max=255, help="1 ordinary, 2 student, 3 senior ...")] = 1,
    sm4: Annotated[bool, typer.Option("--sm4", help="Keys of the SM4 suite instead of 3DES.")] = False,
    transport_key: Annotated[
        Path | None, typer.Option(help="File with the card maker's transport key, taken into the vault.")
    ] = None,
    factory_key: Annotated[
        bool, typer.Option("--factory-key", help="Take the makers' sample key (16 times FF) into the vault.")
    ] = False,
    trace: Trace = False,
    record: Record = None,
    wait: Wait = desk.WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Make one blank card the card of an issuer, or with --batch all cards of an order. 个人化。

    Files, keys, read-back. With an office in --home a card is ordered and registered there; a batch goes into
    its stock, to emulated chips unless --reader names one. May be repeated after a tear or a stop.
    """
    if batch is not None:
        from citycard.cli import perso

        perso.personalise(batch, reader or perso.EMULATED, transport_version, home, as_json)
        return
    from citycard.cli import till
    from citycard.terminal.station import personalise_card

    vault = options.open_vault(home)
    _take_transport(vault, transport_key, factory_key)
    office = till.office_of(home)
    with card_on_desk(reader, image, trace=trace and not as_json, record=record, wait=wait) as card:
        _refuse_begun(card, pan)
        data = (
            _ordered(issuer, pan, card_class, sm4) if office else _given(home, issuer, pan, card_class, sm4)
        )
        refused = personalise_card(vault, card.link, data)
        if refused is not None:
            card.refuse(refused)
        if office:
            _register(data, _uid(card))
        found = {"pan": data.pan, "issuer": data.issuer.hex(), "registered": office}
        if as_json:
            desk.answer(card, found, trace)
            return
        typer.echo(f"{data.pan}: personalised and read back{', registered in the office' if office else ''}")


def _take_transport(vault: Vault, file: Path | None, factory: bool) -> None:
    """The transport key in the vault, taken in now if it is given. PERSO_TRANSPORT."""
    from citycard.core.crypto import TRIPLE_DES
    from citycard.keys import KeyName

    held = vault.keys()
    if any(info.name == KeyName.TRANSPORT for info in held):
        return
    key = FACTORY_KEY if factory else b""
    if file is not None:
        try:
            key = bytes.fromhex(file.read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            key = b""
        if len(key) != len(FACTORY_KEY):
            raise PERSO_TRANSPORT_FILE(path=file)
    if not key:
        raise PERSO_TRANSPORT()
    vault.import_key(KeyName.TRANSPORT, TRIPLE_DES, 1, key)


def _given(home: Path, issuer: str, pan: str, card_class: int, sm4: bool) -> PersoData:
    """A test card, as the options say."""
    from citycard.terminal.station import PersoData

    if not issuer or not pan:
        raise PERSO_WHO(home=home)
    start = date.today()
    try:
        return PersoData(
            bytes.fromhex(issuer), pan, start, start + timedelta(days=365 * YEARS), card_class,
            algorithm=int(sm4),
        )  # fmt: skip
    except ValueError as fault:
        raise PERSO_NUMBER(what=fault) from None


def _ordered(issuer: str, pan: str, card_class: int, sm4: bool) -> PersoData:
    """A card of the office: one that waits to be made, or a new order."""
    from citycard.office.cards import personalise as orders
    from citycard.office.cards.models import Card, Status
    from citycard.office.participants.models import Participant
    from citycard.terminal.station import PersoData

    if pan:
        row = Card.objects.filter(pk=pan, status=Status.MANUFACTURED).first()
        if row is None:
            raise PERSO_ORDERED(pan=pan)
    else:
        own = [
            one.id for one in Participant.objects.filter(active=True).order_by("id") if "issuer" in one.roles
        ]
        (row,) = orders.order(issuer or (own[0] if own else ""), 1, _by(), card_class=card_class)
    assert row.valid_from is not None  # an order dates its cards
    assert row.valid_until is not None
    return PersoData(
        bytes.fromhex(row.issuer_id), row.pan, row.valid_from, row.valid_until, row.card_class,
        algorithm=int(sm4),
    )  # fmt: skip


def _refuse_begun(card: desk.Desk, pan: str) -> None:
    """No number is ordered for a card that has one. PERSO_BEGUN; CARD_* when it is no card for this."""
    from citycard.core.dialogue import identify

    there = card.ask(identify()).pan
    if there.strip("0") and there != pan:
        raise PERSO_BEGUN(pan=there)


def _uid(card: desk.Desk) -> str:
    """The chip's serial as contactless readers tell it; nothing from other readers."""
    answer = card.link(GET_UID)
    return answer[:-2].hex() if answer[-2:] == b"\x90\x00" else ""


def _register(data: PersoData, uid: str) -> None:
    """Enter the finished card in the office; whatever it answers is told by its problem."""
    from citycard.office.cards import personalise as orders
    from citycard.office.cards.actions import Done

    made = orders.Personalised(data.pan, uid=uid, algorithm=data.algorithm, key_version=data.key_version)
    (answer,) = orders.register([made], _by())
    if not isinstance(answer, Done):
        raise PERSO_ORDERED(pan=data.pan)


def _by() -> Actor:
    """Whoever may read the data folder acts as its administrator."""
    import getpass

    from citycard.office.staff.roles import Actor, Role

    return Actor(f"cli:{getpass.getuser()}", frozenset({Role.ADMINISTRATOR}))
