# SPDX-License-Identifier: Apache-2.0
"""`citycard pay | bank ... | report month`: payment files out, bank statements in, monthly reports."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citycard.cli import options
from citycard.cli.month import tier_words
from citycard.cli.options import AsJson, Home, parse_month
from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.office.bank.orders import Ordered
    from citycard.office.settlement.monthly import Month

app = typer.Typer(help="The settlement bank: statements, files, positions. 清算银行。", no_args_is_help=True)
reports = typer.Typer(help="Reports to participants. 机构报表。", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="File to read.")]
Message = Annotated[str, typer.Argument(help="Message id of a payment file, or end-to-end id of an order.")]
REPORTS = "reports"

BANK_FILE_UNREADABLE = declare(
    "BANK_FILE_UNREADABLE",
    "{file} cannot be read: {why}.",
    "无法读取 {file}：{why}。",
)
OUT_UNWRITABLE = declare(
    "OUT_UNWRITABLE",
    "{file} cannot be written: {why}. What was made is kept; run the command again with another folder.",
    "无法写入 {file}：{why}。已生成的内容仍保留，请换一个目录重试。",
)
MONTH_EMPTY = declare(
    "MONTH_EMPTY",
    "No business date of {month} has been closed, so there is nothing to report.",
    "{month} 没有已关闭的清算日，无可报告内容。",
)


def pay(
    day: Annotated[str, typer.Option("--date", help="Settled business date to pay, YYYY-MM-DD.")],
    out: Annotated[Path, typer.Option(help="Folder the payment files are written to.")],
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Order the payments of a settled date and write the bank's files (pain.001). 生成付款文件。

    Repeating it writes the same files; what the bank rejected since is ordered anew.
    """
    from citycard.cli import operate

    on = options.parse_date(day)
    operate.ready(home)
    from citycard.office.bank import orders

    found = orders.order(on, options.who())
    paths = _write(found, out)
    told = {
        "date": on.isoformat(),
        "files": [str(path) for path in paths],
        "new_orders": found.new,
        "awaited": [one.end_to_end for one in found.awaited],
        "held": [one.end_to_end for one in found.held],
        "validated": all(file.validated for file in found.files),
    }
    _tell(told, as_json)
    if not told["validated"]:
        typer.echo(
            "not checked against the ISO 20022 schema: install citycard[bank]. "
            "未按 ISO 20022 模式校验：请安装 citycard[bank]。",
            err=True,
        )


@app.command("import")
def take(file: File, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Take what the bank sent: statement (camt.053), notice (camt.054), report (pain.002). 导入银行报文。

    It is recognised by its namespace; repeating is harmless, and the order does not matter.
    """
    content = _read(file)
    from citycard.cli import operate

    operate.ready(home)
    from citycard.office.bank import messages

    _tell(messages.take(content, file.name, options.who()).as_json(), as_json)


@app.command()
def check(file: File, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Whether a payment file is still what was ordered, before it is sent. 发送前核对付款文件。"""
    content = _read(file)
    from citycard.cli import operate

    operate.ready(home)
    from citycard.office.bank import checking

    found = checking.check(content, file.name)
    _tell({name: getattr(found, name) for name in found.__slots__}, as_json)


@app.command()
def sent(message: Message, home: Home = options.HOME_DEFAULT) -> None:
    """Note that a payment file was sent to the bank. 标记付款文件已发送。"""
    from citycard.cli import operate

    operate.ready(home)
    from citycard.office.bank import orders

    orders.move_file(message, orders.SEND, options.who())
    typer.echo(f"{message}: sent")


@app.command()
def rejected(
    message: Message,
    why: Annotated[str, typer.Option(help="What the bank says.")],
    home: Home = options.HOME_DEFAULT,
) -> None:
    """Note that the bank rejected a file or one order; `citycard pay` orders it anew. 标记银行拒绝。"""
    from citycard.cli import operate

    operate.ready(home)
    from citycard.office.bank import orders
    from citycard.office.bank.models import PaymentFile

    if PaymentFile.objects.filter(pk=message).exists():
        orders.move_file(message, orders.REJECT, options.who(), why)
    else:
        orders.reject_order(message, options.who(), why)
    typer.echo(f"{message}: rejected")


@app.command()
def theirs(file: File, home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """Take positions as participants see them (table their_positions), to compare. 导入机构方头寸。"""
    content = _read(file)
    from citycard.cli import operate

    operate.ready(home)
    from citycard.office.bank import standing

    rows, differ = standing.take_theirs(content, file.name, options.who())
    _tell({"positions": rows, "differ": differ}, as_json)


@app.command()
def status(home: Home = options.HOME_DEFAULT, as_json: AsJson = False) -> None:
    """The settlement account: what the ledger holds, what the bank says, what is on its way. 清算账户。"""
    from citycard.cli import operate

    operate.ready(home)
    from citycard.office.bank import standing

    found = standing.balances()
    told = {name: getattr(found, name) for name in found.__slots__} | {"equal": found.equal}
    _tell(told, as_json)


@reports.command("month")
def month(
    value: Annotated[str, typer.Argument(metavar="YYYY-MM", help="The month.")],
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Write each participant's report of a month as PDF, XLSX and CSV under reports/. 月度报表。"""
    first = parse_month(value)
    from citycard.cli import operate

    operate.ready(home)
    from citycard.office.settlement.monthly import month_of

    found = month_of(first)
    if not found.days:
        raise MONTH_EMPTY(month=value)
    folder = home / REPORTS / value
    with options.progress_bar() as progress:
        names = write_month(found, folder, lambda done, total: progress("reports", done, total))
    _tell({"month": value, "folder": str(folder), "participants": len(names)}, as_json)


def register(root: typer.Typer) -> None:
    """Add the command that stands beside `settle`."""
    root.command()(pay)


def write_month(found: Month, folder: Path, progress: Any) -> list[str]:
    """The month's reports, three files for each participant; returns who got some."""
    from citycard.clearing.paper import as_pdf
    from citycard.clearing.statements import Adjustment, Day, as_csv, as_xlsx, statement

    folder.mkdir(parents=True, exist_ok=True)
    who = sorted(found.days)
    for number, participant in enumerate(who, start=1):
        days = [Day(*row) for row in found.days[participant]]
        adjustments = [
            Adjustment(
                row.contract,
                row.service,
                " ".join(found.names.get(row.acquirer, (row.acquirer,))),
                " ".join(found.names.get(row.issuer, (row.issuer,))),
                tier_words(row.tier, row.terms["volume_by"]),
                row.taps,
                *(row.amount_fen, row.charged_fen, row.due_fen, row.before_fen, row.difference_fen),
                row.moved[participant],
            )
            for row in found.adjusted(participant)
        ]
        one = statement(
            participant, found.revenue, found.names, found.last, period=f"{found.first:%Y-%m}", days=days,
            adjustments=adjustments,
        )  # fmt: skip
        stem = re.sub(r"[^0-9A-Za-z_-]", "_", participant)
        for kind, content in (("csv", as_csv(one)), ("xlsx", as_xlsx(one)), ("pdf", as_pdf(one))):
            (folder / f"{stem}.{kind}").write_bytes(content)
        progress(number, len(who))
    return who


def _write(found: Ordered, out: Path) -> list[Path]:
    """Each file under its message id, whole or not at all."""
    paths = []
    for file in found.files:
        path = out / f"{file.id}.xml"
        part = path.with_suffix(".part")
        try:
            out.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as to:
                to.write(file.content.encode())
                to.flush()
                os.fsync(to.fileno())
            part.replace(path)
        except OSError as fault:
            raise OUT_UNWRITABLE(file=path, why=fault.strerror) from None
        paths.append(path)
    return paths


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as fault:
        raise BANK_FILE_UNREADABLE(file=file, why=fault.strerror) from None


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, default=str))
        return
    for key, value in found.items():
        typer.echo(f"{key:16} {', '.join(value) if isinstance(value, list) else value}")
