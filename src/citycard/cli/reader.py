# SPDX-License-Identifier: Apache-2.0
"""`citycard card readers | info | read | log | load | purchase | personalise`: a card in any PC/SC reader.

These commands stand in the group `card` beside those of the counter. They speak the same dialogues as the
terminals; `--trace` explains each APDU.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from citycard.cli import desk, options
from citycard.cli.desk import Image, Reader, Record, Trace, Wait, card_on_desk
from citycard.cli.options import AsJson, Home
from citycard.core.money import yuan
from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.cli.till import Till
    from citycard.terminal import TapResult

TORN_EXIT: Final = 4
PRESENTATIONS_MAX: Final = 5  # a card torn away this often in one sale is given up

AMOUNT_UNREADABLE = declare(
    "AMOUNT_UNREADABLE",
    "{amount!r} is no amount: write yuan, such as 50 or 12.50.",
    "“{amount}”不是金额，请以元为单位书写，例如 50 或 12.50。",
)
TAP_REFUSED = declare(
    "TAP_REFUSED",
    "{title} ({detail}). Nothing was taken or added.",
    "{title_zh}（{detail}），未扣款也未充值。",
    desk.REFUSED_EXIT,
)
TAP_DOUBTED = declare(
    "TAP_DOUBTED",
    "The card claims to be debited and its proof is wrong ({detail}). Keep the card and have it looked into.",
    "卡片声称已扣款，但其证明无效（{detail}）。请保留该卡并交人工核查。",
    desk.REFUSED_EXIT,
)
TAP_OPEN = declare(
    "TAP_OPEN",
    "The card left before it was clear whether it was {what} ({detail}). Run the same command with the same "
    "card again: it is asked first, and nothing is done twice.",
    "卡片在结果确认前离开（{detail}）。请用同一张卡重新执行同一命令：系统先核实结果，不会重复交易。",
    TORN_EXIT,
)

INFO_TITLES: Final = {
    "pan": ("card number", "卡号"),
    "issuer": ("issuer", "发卡机构"),
    "card_class": ("class", "卡种"),
    "enabled": ("enabled", "已启用"),
    "valid_from": ("valid from", "启用日期"),
    "valid_until": ("valid until", "有效期至"),
    "city": ("city", "城市代码"),
    "balance_fen": ("balance", "余额"),
    "journey": ("open journey", "未完成行程"),
}
Amount = Annotated[str, typer.Argument(help="Amount in yuan, such as 50 or 12.50. 金额（元）。")]
TerminalId = Annotated[
    str, typer.Option("--terminal", help="Terminal of the office (12 hex digits); test cards need none.")
]


def readers(as_json: AsJson = False) -> None:
    """List the PC/SC readers and whether a card lies in them. 列出读卡器。"""
    from citycard.terminal import pcsc

    found = pcsc.readers()
    if as_json:
        rows = [{"name": i.name, "card": i.present, "in_use": i.in_use, "atr": i.atr.hex()} for i in found]
        typer.echo(json.dumps({"readers": rows}, ensure_ascii=False))
        return
    if not found:
        raise pcsc.READER_NONE()
    for info in found:
        card = f"card, ATR {info.atr.hex().upper()}" if info.present else "no card"
        typer.echo(f"{info.name}: {card}{', in use' if info.in_use else ''}")


def info(
    reader: Reader = "",
    image: Image = None,
    trace: Trace = False,
    record: Record = None,
    wait: Wait = desk.WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Show whose card it is, its class and validity, its balance and open journey. 查看卡片信息。"""
    from citycard.core.dialogue import read_card
    from citycard.services.card_state import read_state

    with card_on_desk(reader, image, trace=trace and not as_json, record=record, wait=wait) as card:
        view = card.ask(read_card())
        state = read_state(view.metro, view.newest, view.balance_fen)
        journey = state.journey
        found = {
            "pan": view.pan,
            "issuer": view.issuer.hex(),
            "card_class": view.card_class,
            "enabled": bool(view.public["enabled"]),
            "valid_from": view.public["valid_from"],
            "valid_until": view.public["valid_until"],
            "city": view.kind["city"],
            "balance_fen": view.balance_fen,
            "journey": journey and {"line": journey.line, "station": journey.station, "at": journey.at},
        }
        if as_json:
            desk.answer(card, found, trace)
            return
        _show_info({**found, "journey": journey})


def _show_info(found: dict[str, Any]) -> None:
    """The facts of a card, in the reader's language."""
    from citycard.cli import language
    from citycard.core.trace.words import CODES

    tongue = language()
    journey, class_words = found["journey"], CODES["card_class"].get(found["card_class"])
    yes_no = CODES["enabled"][int(found["enabled"])]
    shown = {
        **found,
        "card_class": class_words.text(tongue) if class_words else f"{found['card_class']:02X}",
        "enabled": yes_no.text(tongue),
        "balance_fen": f"{yuan(found['balance_fen'])} {'元' if tongue == 'zh' else 'yuan'}",
        "journey": f"{journey.line} / {journey.station}, {journey.at}" if journey else "–",
    }
    for name, titles in INFO_TITLES.items():
        typer.echo(f"{titles[tongue == 'zh']:{20 if tongue == 'en' else 0}}  {shown[name]}")


def read(
    reader: Reader = "",
    image: Image = None,
    trace: Trace = False,
    record: Record = None,
    wait: Wait = desk.WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Read every file of the purse and tell its fields in words. 读取全部文件并解释各字段。"""
    from citycard.cli import language
    from citycard.core.dialogue import identify
    from citycard.core.trace import Traced

    tongue = language()
    with card_on_desk(reader, image, trace=trace and not as_json, record=record, wait=wait) as card:
        card.ask(identify())
        before = len(card.steps)
        card.ask(_all_files())
        seen = [step for step in card.steps[before:] if isinstance(step, Traced) and step.ok]
        files: list[dict[str, Any]] = [
            {
                "what": step.detail.text(tongue),
                "fields": [
                    {
                        "name": span.name,
                        "title": span.title.text(tongue),
                        "meaning": span.meaning.text(tongue),
                    }
                    for span in step.answer
                    if span.tone != "status"
                ],
            }
            for step in seen
        ]
        if as_json:
            desk.answer(card, {"files": files}, trace)
            return
        for file in files:
            typer.secho(file["what"], bold=True)
            for one in file["fields"]:
                typer.echo(f"  {one['title']:24} {one['meaning']}")


def log(
    reader: Reader = "",
    image: Image = None,
    trace: Trace = False,
    record: Record = None,
    wait: Wait = desk.WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Show the purse's last transactions, newest first. 查看最近交易。"""
    from citycard.cli import language
    from citycard.core.dialogue import identify, read_log
    from citycard.core.trace.files import transaction

    with card_on_desk(reader, image, trace=trace and not as_json, record=record, wait=wait) as card:
        card.ask(identify())
        rows = card.ask(read_log())
        if as_json:
            plain = [{**row, "terminal": row["terminal"].hex()} for row in rows]
            desk.answer(card, {"log": plain}, trace)
            return
        for row in rows:
            what = transaction(row["txn"]).text(language())
            place = row["terminal"].hex()
            typer.echo(f"{row['at']}  {yuan(row['amount_fen']):>10}  #{row['counter']:<5} {place}  {what}")


def load(
    amount: Amount,
    reader: Reader = "",
    image: Image = None,
    home: Home = options.HOME_DEFAULT,
    terminal: TerminalId = "",
    trace: Trace = False,
    record: Record = None,
    wait: Wait = desk.WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Credit the card (圈存), with the load keys of the vault in --home.

    A card that the office of this home knows is loaded through the office: the money is reserved, and posted
    when the card's TAC proves the load; --terminal names a terminal of the office. A card it does not know
    is a test card and needs the vault alone. A card torn away is asked when it is presented again.
    """
    _sell(amount, home, terminal, (reader, image, trace, record, wait, as_json), loads=True)


def purchase(
    amount: Amount,
    reader: Reader = "",
    image: Image = None,
    home: Home = options.HOME_DEFAULT,
    terminal: TerminalId = "",
    trace: Trace = False,
    record: Record = None,
    wait: Wait = desk.WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Debit the card (消费) as a shop does, with a PSAM over the vault in --home.

    The record of a card that the office of this home knows is delivered to it for clearing; --terminal names
    the office's terminal that sells. Of a test card the record stays in the till's journal, marked as test.
    """
    _sell(amount, home, terminal, (reader, image, trace, record, wait, as_json), loads=False)


def _sell(amount: str, home: Path, terminal: str, how: tuple[Any, ...], *, loads: bool) -> None:
    from citycard.cli import till
    from citycard.core.dialogue import identify
    from citycard.terminal import Outcome, TracedSam

    amount_fen = fen_of(amount)
    reader, image, trace, record, wait, as_json = how
    vault = options.open_vault(home)
    with card_on_desk(reader, image, trace=trace and not as_json, record=record, wait=wait) as card:
        view = card.ask(identify())
        here = till.open_till(home, vault, view, terminal)
        here.terminal.sam = TracedSam(here.terminal.sam, card.tracer, card.tell)
        for _ in range(PRESENTATIONS_MAX):
            result = _present(here, card, amount_fen, loads)
            if result.outcome is not Outcome.TORN:
                break
            typer.echo("citycard: the card left; present it again / 卡片离开，请重新放卡", err=True)
            if not card.wait_again(wait):
                break
        delivered = here.deliver()
        _tell(card, here, result, delivered, loads=loads, as_json=as_json, trace=trace)


def _present(here: Till, card: desk.Desk, amount_fen: int, loads: bool) -> TapResult:
    from citycard.services.contract import Event

    if loads:
        return here.terminal.load(card.link, amount_fen, here.host)
    return here.terminal.tap(card.link, Event.PAY, amount_fen)


def _tell(
    card: desk.Desk, here: Till, result: TapResult, delivered: int, *, loads: bool, as_json: bool, trace: bool
) -> None:
    """The receipt, or why there is none."""
    from citycard.core.refusal import Refusal
    from citycard.terminal import Outcome

    record = result.record
    if result.outcome is Outcome.TORN:
        raise TAP_OPEN(what="credited" if loads else "debited", detail=result.detail)
    if record is None:
        why = getattr(here.host, "why", None)
        if why is not None:
            raise why
        assert result.refusal is not None
        detail = result.detail or result.refusal.code
        if result.refusal is Refusal.NOT_PROVEN:
            raise TAP_DOUBTED(detail=detail)
        raise TAP_REFUSED(
            title=result.refusal.title("en"), title_zh=result.refusal.title("zh"), detail=detail
        )
    found = {
        "pan": record.pan,
        "amount_fen": record.amount_fen,
        "balance_fen": result.balance_fen,
        "counter": record.counter,
        "tac": record.tac.hex(),
        "terminal": record.terminal.hex(),
        "at": record.tapped_at,
        "recovered": result.recovered,
        "office": here.office,
        "delivered": delivered,
    }
    if as_json:
        desk.answer(card, found, trace)
        return
    verb = "loaded" if loads else "paid"
    said = ", proven after a tear" if result.recovered else ""
    typer.echo(
        f"{record.pan}: {verb} {yuan(record.amount_fen)} yuan, balance {yuan(result.balance_fen or 0)} yuan, "
        f"TAC {record.tac.hex().upper()}{said}"
    )
    if here.office:
        typer.echo(f"{delivered} record(s) delivered to the office")


def fen_of(amount: str) -> int:
    """Yuan as people write them, in fen. AMOUNT_UNREADABLE."""
    try:
        value = Decimal(amount) * 100
    except InvalidOperation:
        raise AMOUNT_UNREADABLE(amount=amount) from None
    if not value.is_finite() or value != value.to_integral_value() or value <= 0:
        raise AMOUNT_UNREADABLE(amount=amount)
    return int(value)


def _all_files() -> Any:
    """Every file of the purse application, record by record."""
    from citycard.core import tunion
    from citycard.core.dialogue import CARD, ask
    from citycard.core.dialogue.read import read_record

    for sfi in (tunion.SFI_PUBLIC, tunion.SFI_HOLDER, tunion.SFI_KIND):
        yield from ask(CARD, f"READ BINARY {sfi:02X}", bytes((0x00, 0xB0, 0x80 | sfi, 0x00, 0x00)))
    for sfi, most in (
        (tunion.SFI_LOG, tunion.LOG_RECORDS),
        (tunion.SFI_INDUSTRY, len(tunion.INDUSTRY_TAGS)),
        (tunion.SFI_TRANSIT, tunion.TRANSIT_RECORDS),
    ):
        for number in range(1, most + 1):
            if not isinstance((yield from read_record(sfi, number)), bytes):
                break


def register(app: typer.Typer) -> None:
    """Add the commands to the group `card`."""
    from citycard.cli import personalise, virtual

    for command in (readers, info, read, log, load, purchase):
        app.command()(command)
    app.command("personalise")(personalise.personalise)
    app.command("emulate")(virtual.emulate)
