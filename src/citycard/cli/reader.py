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
SECTOR_KEY = declare(
    "SECTOR_KEY",
    "A key given with --key is no sector key: write 12 hex digits, such as FFFFFFFFFFFF.",
    "--key 给出的不是扇区密钥：应为 12 位十六进制数字，例如 FFFFFFFFFFFF。",
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

SECRET: Final = "••"
SECTOR_KEY_SIZE: Final = 6
SectorKeys = Annotated[
    list[str] | None,
    typer.Option("--key", help="M1 cards: a sector key of 12 hex digits to try; repeat for more."),
]
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
    key: SectorKeys = None,
    trace: Trace = False,
    record: Record = None,
    wait: Wait = desk.WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Show what card it is and what it tells: number, validity, balance; sectors, ticket, card data.

    任意卡片：卡号、有效期、余额、未完成行程；扇区、车票、安全域等。
    """
    from citycard.cli import language
    from citycard.cli.card_facts import facts_of
    from citycard.core.dialogue.survey import survey

    keys = sector_keys(key)
    with card_on_desk(reader, image, trace=trace and not as_json, record=record, wait=wait) as card:
        facts = facts_of(card.ask(survey(card.atr, keys)), card.atr)
        if as_json:
            desk.answer(card, {fact.name: fact.value for fact in facts}, trace)
            return
        tongue = language()
        for fact in facts:
            title = fact.title.text(tongue)
            typer.echo(f"{title:{0 if tongue == 'zh' else 24}}  {fact.shown.text(tongue)}")


def read(
    reader: Reader = "",
    image: Image = None,
    key: SectorKeys = None,
    trace: Trace = False,
    record: Record = None,
    wait: Wait = desk.WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Read every file, or block, that opens to anybody, and tell its fields in words. 读取全部文件或块。"""
    from citycard.cli import language
    from citycard.core.dialogue.survey import read_all, survey
    from citycard.core.trace import Traced

    tongue, keys = language(), sector_keys(key)
    with card_on_desk(reader, image, trace=trace and not as_json, record=record, wait=wait) as card:
        found = card.ask(survey(card.atr, keys))
        before = len(card.steps)
        card.ask(read_all(found))
        seen = [step for step in card.steps[before:] if isinstance(step, Traced) and step.ok]
        files: list[dict[str, Any]] = [
            {
                "what": step.detail.text(tongue) or step.title.text(tongue),
                "fields": [
                    {
                        "name": span.name,
                        "title": span.title.text(tongue),
                        "meaning": span.meaning.text(tongue),
                    }
                    for span in step.answer
                    if span.tone not in ("status", "size")
                ],
            }
            for step in seen
            if len(step.answer) > 1
        ]
        if as_json:
            desk.answer(card, {"files": files}, trace)
            return
        if not files:
            typer.echo("citycard: nothing on this card opens to anybody / 本卡没有可公开读取的内容", err=True)
        for file in files:
            typer.secho(file["what"], bold=True)
            for one in file["fields"]:
                typer.echo(f"  {one['title']:24} {one['meaning'] or SECRET}")


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
    from citycard.core.dialogue.survey import read_logs
    from citycard.core.trace.files import transaction

    with card_on_desk(reader, image, trace=trace and not as_json, record=record, wait=wait) as card:
        rows = card.ask(read_logs())
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


def sector_keys(given: list[str] | None) -> list[bytes]:
    """Sector keys as typed. SECTOR_KEY."""
    keys = []
    for text in given or ():
        try:
            keys.append(bytes.fromhex(text))
        except ValueError:
            keys.append(b"")
        if len(keys[-1]) != SECTOR_KEY_SIZE:
            raise SECTOR_KEY()
    return keys


def register(app: typer.Typer) -> None:
    """Add the commands to the group `card`."""
    from citycard.cli import personalise, virtual

    for command in (readers, info, read, log, load, purchase):
        app.command()(command)
    app.command("personalise")(personalise.personalise)
    app.command("emulate")(virtual.emulate)
