# SPDX-License-Identifier: Apache-2.0
"""Statements as PDF: heading, chart, lines, over a period its dates; the same figures give the same bytes.

Chinese is set in STSong-Light, one of the fonts that readers of PDF know by name, so no font file is needed;
what readers put in its place often has no Latin letters, so those and all figures are set in Helvetica.
"""

from __future__ import annotations

import io
import math
import re
from typing import Any, Final

from citycard.clearing.statements import ADJUSTMENT_HEADINGS, DAY_HEADINGS, HEADINGS, Statement
from citycard.core.money import yuan

LATIN: Final = "Helvetica"
CHINESE: Final = "STSong-Light"
RUN: Final = re.compile(r"[\u0000-\u00ff]+|[^\u0000-\u00ff]+")  # in one font or the other
BLUE, ORANGE, PALE, GREY = "#2f6db5", "#d98032", "#dde6f0", "#8a94a0"
WIDTHS: Final = (86, 104, 142, 108, 42, 86, 86, 86)  # points; the page is A4 across
DAY_WIDTHS: Final = (120, 140, 140, 140, 180)
ADJUSTMENT_WIDTHS: Final = (60, 56, 70, 70, 92, 40, 62, 58, 58, 58, 58, 58)
CHART_WIDTH, CHART_HEIGHT = 740, 165
LABELS_MAX: Final = 16  # beyond, only every second, third ... bar is named
TICKS: Final = 4
LABEL_SIZE: Final = 7.5


def as_pdf(found: Statement) -> bytes:
    """The statement as a PDF of A4 pages across."""
    from reportlab.lib.pagesizes import A4, landscape
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer

    if CHINESE not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
    heading = ParagraphStyle("heading", fontName=LATIN, fontSize=15, leading=22)
    small = ParagraphStyle("small", fontName=LATIN, fontSize=9, leading=14, textColor=GREY)
    total = found.lines[-1]
    told = (
        f"Receivable 应收 {yuan(total.receivable_fen)} · Payable 应付 {yuan(total.payable_fen)} · "
        f"Net 净额 {yuan(total.net_fen)} CNY"
    )
    story: list[Any] = [
        Paragraph(_rich(f"Statement 结算单 · {found.dated}"), heading),
        Paragraph(_rich(found.title), heading),
        Paragraph(_rich(told), small),
        Spacer(1, 8),
    ]
    if found.bars:
        story += [_chart(found), Spacer(1, 10)]
    story.append(_lines(found))
    if found.days:
        story += [Spacer(1, 14), _days(found)]
    if found.adjustments:
        story += [Spacer(1, 14), _adjustments(found)]
    raw = io.BytesIO()
    document = SimpleDocTemplate(
        raw, pagesize=landscape(A4), leftMargin=36, rightMargin=36, topMargin=34, bottomMargin=36,
        title=f"Statement {found.dated} {found.participant}", author="citycard", invariant=1,
    )  # fmt: skip
    document.build(story, onFirstPage=_foot, onLaterPages=_foot)
    return raw.getvalue()


def _foot(canvas: Any, document: Any) -> None:
    canvas.setFont(LATIN, 8)
    canvas.setFillColor(GREY)
    canvas.drawRightString(document.pagesize[0] - 36, 20, str(canvas.getPageNumber()))


def _runs(text: str) -> list[tuple[str, str]]:
    """Pieces of a text with the font each is set in."""
    return [(LATIN if piece[0] <= "\u00ff" else CHINESE, piece) for piece in RUN.findall(text)]


def _rich(text: str) -> str:
    """A text for paragraphs: nothing in it is markup but the changes of font."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(
        piece if font == LATIN else f'<font name="{font}">{piece}</font>' for font, piece in _runs(plain)
    )


def _lines(found: Statement) -> Any:
    rows = [
        (
            line.service, line.counterparty, line.name, line.cause,
            "" if line.taps is None else f"{line.taps:,}",
            *(yuan(fen) for fen in (line.receivable_fen, line.payable_fen, line.net_fen)),
        )
        for line in found.lines
    ]  # fmt: skip
    totals = [at for at, line in enumerate(found.lines, start=1) if line.total]
    return _table(HEADINGS, rows, WIDTHS, texts=4, totals=totals)


def _days(found: Statement) -> Any:
    rows = [
        (
            d.settle_on.isoformat(),
            *(yuan(f) for f in (d.receivable_fen, d.payable_fen, d.net_fen, d.moved_fen)),
        )
        for d in found.days
    ]
    return _table(DAY_HEADINGS, rows, DAY_WIDTHS, texts=1, totals=[])


def _adjustments(found: Statement) -> Any:
    rows = [(*one.texts, *(yuan(fen) for fen in one.amounts)) for one in found.adjustments]
    return _table(ADJUSTMENT_HEADINGS, rows, ADJUSTMENT_WIDTHS, texts=5, totals=[])


def _table(
    heads: tuple[str, ...],
    rows: list[tuple[str, ...]],
    widths: tuple[int, ...],
    *,
    texts: int,
    totals: list[int],
) -> Any:
    """A table whose first columns are texts that wrap and whose others are figures."""
    from reportlab.lib.enums import TA_RIGHT
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import LongTable, Paragraph, TableStyle

    cell = ParagraphStyle("cell", fontName=LATIN, fontSize=8, leading=10.5, wordWrap="CJK")
    right = ParagraphStyle("right", parent=cell, alignment=TA_RIGHT)
    made = [[Paragraph(_rich(head), cell if at < texts else right) for at, head in enumerate(heads)]]
    made += [[*(Paragraph(_rich(t), cell) for t in row[:texts]), *row[texts:]] for row in rows]
    style = [
        ("FONT", (0, 0), (-1, -1), LATIN, 8),
        ("ALIGN", (texts, 1), (-1, -1), "RIGHT"),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("BACKGROUND", (0, 0), (-1, 0), PALE),
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, "#c5ccd4"),
        *[("BACKGROUND", (0, at), (-1, at), "#f3f5f8") for at in totals],
    ]
    return LongTable(made, colWidths=widths, repeatRows=1, style=TableStyle(style), hAlign="LEFT")


def _chart(found: Statement) -> Any:
    """Two bars for each service or date: what is due to the participant, and what it owes."""
    from reportlab.graphics.shapes import Drawing, Line, Rect, String
    from reportlab.lib.colors import HexColor

    bars = found.bars
    drawing = Drawing(CHART_WIDTH, CHART_HEIGHT)
    left, bottom, top = 70, 26, CHART_HEIGHT - 20
    highest = _round_up(max(max(r, p) for _, r, p in bars))
    for tick in range(TICKS + 1):
        y = bottom + (top - bottom) * tick / TICKS
        drawing.add(Line(left, y, CHART_WIDTH, y, strokeColor=HexColor("#dfe3e8"), strokeWidth=0.4))
        label = yuan(highest * tick // TICKS)
        drawing.add(String(left - 6, y - 3, label, fontName=LATIN, fontSize=7, textAnchor="end"))
    slot = (CHART_WIDTH - left) / len(bars)
    width = min(34.0, slot * 0.36)
    every = math.ceil(len(bars) / LABELS_MAX)
    for at, (label, receivable_fen, payable_fen) in enumerate(bars):
        middle = left + slot * (at + 0.5)
        for x, fen, colour in ((middle - width, receivable_fen, BLUE), (middle, payable_fen, ORANGE)):
            height = (top - bottom) * fen / highest
            drawing.add(Rect(x, bottom, width, height, fillColor=HexColor(colour), strokeColor=None))
        if at % every == 0:
            _label(drawing, middle, 12, label, centred=True)
    for x, colour, word in ((left, BLUE, HEADINGS[5]), (left + 150, ORANGE, HEADINGS[6])):
        drawing.add(Rect(x, top + 9, 8, 8, fillColor=HexColor(colour), strokeColor=None))
        _label(drawing, x + 12, top + 10, word)
    return drawing


def _label(drawing: Any, x: float, y: float, text: str, *, centred: bool = False) -> None:
    """A text in a drawing, piece by piece in its fonts."""
    from reportlab.graphics.shapes import String
    from reportlab.pdfbase.pdfmetrics import stringWidth

    pieces = [(font, piece, stringWidth(piece, font, LABEL_SIZE)) for font, piece in _runs(text)]
    x -= sum(width for _, _, width in pieces) / 2 if centred else 0
    for font, piece, width in pieces:
        drawing.add(String(x, y, piece, fontName=font, fontSize=LABEL_SIZE))
        x += width


def _round_up(fen: int) -> int:
    """A round number at or above, so that the axis reads well; at least a yuan."""
    step = 100
    while step * 10 < fen:
        step *= 10
    return next(step * m for m in (1, 2, 3, 4, 5, 6, 8, 10, 20) if step * m >= max(fen, 100))
