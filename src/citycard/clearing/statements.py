# SPDX-License-Identifier: Apache-2.0
"""Statements: what a participant earned and owes on a date, for people, as CSV and XLSX (PDF: `paper`).

Headings are in English and Chinese; amounts are yuan with two decimals in print and exact, for they are
made from whole fen. The same figures always give the same bytes.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Final

from openpyxl import Workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.worksheet.worksheet import Worksheet

from citycard.clearing.rules import LOAD_SERVICE
from citycard.core.money import yuan
from citycard.core.tables import Row
from citycard.services import REGISTRY

HEADINGS: Final = (
    "Service 业务",
    "Counterparty 对方机构",
    "Name 名称",
    "Cause 项目",
    "Taps 笔数",
    "Receivable 应收 (CNY)",
    "Payable 应付 (CNY)",
    "Net 净额 (CNY)",
)
CAUSES: Final = {
    "fare": "Fares 票款",
    "operator_share": "Operators' shares 运营商分成",
    "issuer_fee": "Issuer's fee 发卡方手续费",
    "acquirer_fee": "Acquirer's fee 受理方手续费",
    "scheme_fee": "Scheme's fee 平台服务费",
    "concession": "Concessions 优惠补贴",
    "transfer": "Transfer discounts 换乘优惠",
    "load": "Loads 充值",
    "volume_fee": "Volume tier adjustment 阶梯费率调整",
}
DAY_HEADINGS: Final = (
    "Date 日期", *HEADINGS[5:], "Moved by the bank 银行已划付 (CNY)",
)  # fmt: skip
ADJUSTMENT_HEADINGS: Final = (
    "Contract 合同", "Service 业务", "Acquirer 受理方", "Issuer 发卡方", "Tier reached 达到档位", "Taps 笔数",
    "Turnover 交易额 (CNY)", "Fee charged 已收手续费 (CNY)", "Fee due 应收手续费 (CNY)",
    "Adjusted before 此前调整 (CNY)", "Difference 差额 (CNY)", "Own part 本机构 (CNY)",
)  # fmt: skip
TOTAL: Final = "Total 合计"
WIDTHS: Final = (16, 20, 30, 28, 10, 20, 20, 20)
EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment a zip file can tell
MODIFIED: Final = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(</dcterms:modified>)")


@dataclass(frozen=True, slots=True)
class Line:
    """One printed line: texts, taps, and signed fen (+ receivable, - payable) or a total of both sides."""

    service: str
    counterparty: str
    name: str
    cause: str
    taps: int | None
    receivable_fen: int
    payable_fen: int
    total: bool = False

    @property
    def net_fen(self) -> int:
        """Receivable less payable."""
        return self.receivable_fen - self.payable_fen


@dataclass(frozen=True, slots=True)
class Day:
    """A date within a longer period: both sides of the position, and what the bank moved of it so far."""

    settle_on: date
    receivable_fen: int
    payable_fen: int
    moved_fen: int  # signed like the net

    @property
    def net_fen(self) -> int:
        """Receivable less payable."""
        return self.receivable_fen - self.payable_fen


@dataclass(frozen=True, slots=True)
class Adjustment:
    """How a pair's fee of the month was made up to its volume: the explanation of a `volume_fee` line."""

    contract: str
    service: int
    acquirer: str
    issuer: str
    tier: str  # the tier and its rate, in words
    taps: int
    turnover_fen: int
    charged_fen: int
    due_fen: int
    before_fen: int
    difference_fen: int
    own_fen: int  # what the statement's participant gets by it: in its `volume_fee` line

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that are no amounts."""
        service = _title(self.service)
        return self.contract, service, self.acquirer, self.issuer, self.tier, f"{self.taps:,}"

    @property
    def amounts(self) -> tuple[int, ...]:
        """Fen: turnover, charged, due, adjusted before, difference, own part."""
        fees = (self.charged_fen, self.due_fen, self.before_fen, self.difference_fen)
        return self.turnover_fen, *fees, self.own_fen


@dataclass(frozen=True, slots=True)
class Statement:
    """A participant's statement of a date, or of a longer period with its dates."""

    participant: str
    title: str
    settle_on: date
    lines: tuple[Line, ...]
    period: str = ""
    days: tuple[Day, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()

    @property
    def dated(self) -> str:
        """The date or the period."""
        return self.period or self.settle_on.isoformat()

    @property
    def bars(self) -> list[tuple[str, int, int]]:
        """What its chart shows: label, receivable, payable; by date over a period, else by service."""
        if self.days:
            return [(f"{d.settle_on:%m-%d}", d.receivable_fen, d.payable_fen) for d in self.days]
        sums = [line for line in self.lines if line.total and line.service != TOTAL]
        return [(line.service, line.receivable_fen, line.payable_fen) for line in sums]


def statement(
    participant: str,
    revenue: Sequence[Row],
    names: Mapping[str, tuple[str, str]],
    settle_on: date,
    *,
    period: str = "",
    days: Sequence[Day] = (),
    adjustments: Sequence[Adjustment] = (),
) -> Statement:
    """Lines by service, counterparty and cause, a subtotal per service, and the total at the end."""
    own = sorted(
        (row for row in revenue if row["participant"] == participant),
        key=lambda row: (row["service"], row["counterparty"], row["cause"], row["amount_fen"]),
    )
    lines: list[Line] = []
    details: list[Line] = []
    for service, rows in groupby(own, key=lambda row: int(row["service"])):
        part = [_line(row, _title(service), names) for row in rows]
        lines += [*part, _sum(part, _title(service))]
        details += part
    lines.append(_sum(details, TOTAL))
    title = " ".join((participant, *names.get(participant, ())))
    return Statement(participant, title, settle_on, tuple(lines), period, tuple(days), tuple(adjustments))


def _title(service: int) -> str:
    if service == LOAD_SERVICE:
        return CAUSES["load"]
    known = REGISTRY.get(service)
    return f"{known.title_en} {known.title_zh}" if known else f"Service {service} 业务"


def _line(row: Row, service: str, names: Mapping[str, tuple[str, str]]) -> Line:
    amount = row["amount_fen"]
    name = " ".join(names.get(row["counterparty"], ()))
    cause = CAUSES[row["cause"]]
    return Line(service, row["counterparty"], name, cause, row["taps"], max(amount, 0), max(-amount, 0))


def _sum(lines: Sequence[Line], title: str) -> Line:
    receivable = sum(line.receivable_fen for line in lines)
    payable = sum(line.payable_fen for line in lines)
    cause = "" if title == TOTAL else "Subtotal 小计"
    return Line(title, "", "", cause, None, receivable, payable, total=True)


def as_csv(found: Statement) -> bytes:
    """The statement as CSV, with the mark by which spreadsheets know UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("Statement 结算单", found.title, found.dated))
    writer.writerow(HEADINGS)
    for line in found.lines:
        amounts = (line.receivable_fen, line.payable_fen, line.net_fen)
        taps = "" if line.taps is None else line.taps
        plain = (yuan(amount).replace(",", "") for amount in amounts)
        writer.writerow((line.service, line.counterparty, line.name, line.cause, taps, *plain))
    if found.days:
        writer.writerow(())
        writer.writerow(DAY_HEADINGS)
        for day in found.days:
            plain = (yuan(fen).replace(",", "") for fen in _of_day(day))
            writer.writerow((day.settle_on.isoformat(), *plain))
    if found.adjustments:
        writer.writerow(())
        writer.writerow(ADJUSTMENT_HEADINGS)
        for one in found.adjustments:
            plain = (yuan(fen).replace(",", "") for fen in one.amounts)
            writer.writerow((*one.texts[:-1], one.taps, *plain))
    return text.getvalue().encode("utf-8-sig")


def as_xlsx(found: Statement) -> bytes:
    """The statement as a workbook: the lines, and a sheet with what the chart shows and the chart."""
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.title = "Statement 结算单"
    sheet.append(("Statement 结算单", found.title, "", "", found.dated))
    sheet.append(HEADINGS)
    for line in found.lines:
        amounts = (line.receivable_fen, line.payable_fen, line.net_fen)
        sheet.append(
            (
                line.service,
                line.counterparty,
                line.name,
                line.cause,
                line.taps,
                *(Decimal(a) / 100 for a in amounts),
            )
        )
    _dress(sheet, found)
    _chart(book, found)
    if found.adjustments:
        _adjust(book, found)
    moment = datetime.combine(found.settle_on, datetime.min.time())
    book.properties.created = book.properties.modified = moment
    book.properties.creator = "citycard"
    raw = io.BytesIO()
    book.save(raw)
    return _timeless(raw.getvalue(), moment)


def _of_day(day: Day) -> tuple[int, int, int, int]:
    return day.receivable_fen, day.payable_fen, day.net_fen, day.moved_fen


def _chart(book: Workbook, found: Statement) -> None:
    """A second sheet: by date over a period, else by service."""
    sheet = book.create_sheet("Chart 图表")
    sheet.append(DAY_HEADINGS if found.days else ("Service 业务", *HEADINGS[5:7]))
    if found.days:
        for day in found.days:
            sheet.append((day.settle_on.isoformat(), *(Decimal(fen) / 100 for fen in _of_day(day))))
    else:
        for label, receivable_fen, payable_fen in found.bars:
            sheet.append((label, Decimal(receivable_fen) / 100, Decimal(payable_fen) / 100))
    for column in "ABCDE":
        sheet.column_dimensions[column].width = 22
    last = sheet.max_row
    if last == 1:
        return
    chart = BarChart()
    chart.title = f"{found.title} · {found.dated}"
    chart.add_data(Reference(sheet, min_col=2, max_col=3, min_row=1, max_row=last), titles_from_data=True)
    chart.set_categories(Reference(sheet, min_col=1, min_row=2, max_row=last))
    chart.width, chart.height = 24, 11
    chart.x_axis.delete = chart.y_axis.delete = False
    sheet.add_chart(chart, "G2")


def _adjust(book: Workbook, found: Statement) -> None:
    """A third sheet: what the lines of fees by volume were worked out from."""
    sheet = book.create_sheet("Volume 交易量")
    sheet.append(ADJUSTMENT_HEADINGS)
    for one in found.adjustments:
        sheet.append((*one.texts[:-1], one.taps, *(Decimal(fen) / 100 for fen in one.amounts)))
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for letter in "ABCDEFGHIJKL":
        sheet.column_dimensions[letter].width = 24


def _dress(sheet: Worksheet, found: Statement) -> None:
    bold = Font(bold=True)
    sheet["A1"].font = sheet["B1"].font = Font(bold=True, size=14)
    for cell in sheet[2]:
        cell.font = bold
        cell.fill = PatternFill("solid", fgColor="DDE6F0")
        cell.alignment = Alignment(horizontal="center", wrap_text=True)
    for number, line in enumerate(found.lines, start=3):
        for cell in sheet[number]:
            if line.total:
                cell.font = bold
            if cell.column is not None and cell.column > 5:
                cell.number_format = "#,##0.00"
    for letter, width in zip("ABCDEFGH", WIDTHS, strict=True):
        sheet.column_dimensions[letter].width = width
    sheet.freeze_panes = "A3"


def _timeless(raw: bytes, moment: datetime) -> bytes:
    """The same workbook without the time at which it was written."""
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(raw)) as source,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename == "docProps/core.xml":
                data = MODIFIED.sub(rb"\g<1>" + stamp + rb"\g<2>", data)
            fixed = zipfile.ZipInfo(entry.filename, EPOCH)
            fixed.compress_type = zipfile.ZIP_DEFLATED
            fixed.external_attr = entry.external_attr
            target.writestr(fixed, data)
    return out.getvalue()
