# SPDX-License-Identifier: Apache-2.0
"""A protocol on paper: English and Chinese, check values, hash of the log, lines to sign on."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any, Final
from xml.sax.saxutils import escape

from citycard.keys.protocol import Protocol, told

CHINESE: Final = "STSong-Light"  # a CID font that PDF readers bring: Chinese without a font file
LATIN: Final = "Helvetica"  # all else, for not every reader's STSong has Latin letters
RUNS: Final = re.compile(r"[\u2e80-\uffff]+")
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

    pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
    plain = ParagraphStyle("plain", fontName=LATIN, fontSize=10, leading=15, wordWrap="CJK")
    large = ParagraphStyle("large", parent=plain, fontSize=16, leading=24)
    small = ParagraphStyle("small", parent=plain, fontSize=9, leading=11)

    def lines(*texts: str, style: ParagraphStyle = plain) -> list[Any]:
        return [Paragraph(marked(text), style) for text in texts]

    story = lines(f"{made.title('en')} {made.title('zh')}", style=large)
    story += lines(f"No. 编号 {made.number}    {made.at.replace('T', ' ')}")
    story += lines(*(f"{title}: {value}" for title, value in told(made)))
    for columns, rows in ((SHARE_COLUMNS, made.components), (KEY_COLUMNS, made.keys)):
        if rows:
            cells = [
                [title for title, _ in columns],
                *([_cell(row, name) for _, name in columns] for row in rows),
            ]
            story += [Spacer(1, 10), _table([[lines(cell, style=small) for cell in row] for row in cells])]
    story += [
        Spacer(1, 14),
        *lines(f"Log before 前一记录 {made.previous}", f"This protocol 本记录 {made.hash}"),
    ]
    story.append(Spacer(1, 20))
    for name in made.by:
        story += [*lines(f"{name}: ____________________  date 日期 ____________"), Spacer(1, 14)]
    paper = BytesIO()
    title = f"citycard {made.kind} {made.number}"
    SimpleDocTemplate(paper, pagesize=A4, title=title, author="citycard").build(story)
    return paper.getvalue()


def marked(text: str) -> str:
    """The text as reportlab's markup, its Chinese in a Chinese font."""
    return RUNS.sub(lambda run: f'<font name="{CHINESE}">{run.group()}</font>', escape(text))


def _cell(row: dict[str, Any], name: str) -> str:
    return "" if row.get(name) is None else str(row[name])


def _table(cells: list[list[Any]]) -> Any:
    from reportlab.lib import colors
    from reportlab.platypus import Table

    style = [
        ("GRID", (0, 0), (-1, -1), 0.5, colors.grey),
        ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
    ]
    return Table(cells, style=style, hAlign="LEFT", repeatRows=1)
