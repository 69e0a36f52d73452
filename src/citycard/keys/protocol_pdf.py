# SPDX-License-Identifier: Apache-2.0
"""A protocol on paper: English and Chinese, check values, hash of the log, lines to sign on."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final
from xml.sax.saxutils import escape

from citycard.keys.protocol import Protocol

FONT: Final = "STSong-Light"  # a CID font of every PDF reader: Chinese without a font file
KEY_COLUMNS: Final = (
    ("Key 密钥", "name"), ("Version 版本", "version"), ("Suite 算法", "suite"),
    ("Check value 校验值", "check_value"), ("From 启用", "not_before"), ("Until 停用", "not_after"),
)  # fmt: skip
SHARE_COLUMNS: Final = (
    ("Component 分量", "number"), ("Custodian 保管员", "custodian"), ("Check value 校验值", "check_value"),
)  # fmt: skip


def pdf(made: Protocol) -> bytes:
    """The protocol as an A4 PDF."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer

    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    plain = ParagraphStyle("plain", fontName=FONT, fontSize=10, leading=15, wordWrap="CJK")
    large = ParagraphStyle("large", parent=plain, fontSize=16, leading=24)
    story: list[Any] = [Paragraph(f"{made.title('en')} {made.title('zh')}", large)]
    story.append(Paragraph(f"No. 编号 {made.number}    {made.at.replace('T', ' ')}", plain))
    for name, value in made.facts.items():
        story.append(Paragraph(escape(f"{name}: {value}"), plain))
    for columns, rows in ((SHARE_COLUMNS, made.components), (KEY_COLUMNS, made.keys)):
        if rows:
            story += [Spacer(1, 10), _table(columns, rows)]
    story += [Spacer(1, 14), Paragraph(f"Log before 前一记录 {made.previous}", plain)]
    story.append(Paragraph(f"This protocol 本记录 {made.hash}", plain))
    story.append(Spacer(1, 20))
    for name in made.by:
        story.append(Paragraph(escape(f"{name}: ____________________  date 日期 ____________"), plain))
        story.append(Spacer(1, 14))
    paper = BytesIO()
    title = f"citycard {made.kind} {made.number}"
    SimpleDocTemplate(paper, pagesize=A4, title=title, author="citycard").build(story)
    return paper.getvalue()


def _table(columns: Sequence[tuple[str, str]], rows: Sequence[dict[str, Any]]) -> Any:
    from reportlab.lib import colors
    from reportlab.platypus import Table

    cells = [[title for title, _ in columns]]
    cells += [
        [str(row.get(name) if row.get(name) is not None else "") for _, name in columns] for row in rows
    ]
    style = [
        ("FONT", (0, 0), (-1, -1), FONT, 9),
        ("GRID", (0, 0), (-1, -1), 0.5, colors.grey),
        ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
    ]
    return Table(cells, style=style, hAlign="LEFT", repeatRows=1)
