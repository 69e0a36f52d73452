# SPDX-License-Identifier: Apache-2.0
"""Layouts, codes and legal moves as Markdown tables, so that the document and the code say the same."""

from __future__ import annotations

from typing import Final

from citycard.core.interop import codes, disputes, states
from citycard.core.interop.columns import ENCODING, TAIL, Format
from citycard.core.interop.lists import FORMATS

SOURCES: Final = {
    "facts": ("published by implementations, column by column", "按公开实现逐列一致"),
    "inferred": (
        "inferred: fields and lengths are published, order or set is not",
        "推定：字段与长度公开，顺序未公开",
    ),
    "own": ("citycard's own: no layout was found published", "自定义：未见公开格式"),
}
HEADS: Final = (
    ("Offset", "Bytes", "Column", "Kind", "Meaning", "Example"),
    ("偏移", "字节", "字段", "类型", "含义", "示例"),
)


def table(layout: Format, language: str = "en") -> str:
    """One layout as a heading, a line on its source, and a table."""
    chinese = language.startswith("zh")
    names, source = ", ".join(f"`{name}`" for name in layout.once), SOURCES[layout.source][chinese]
    lines = [
        f"### {layout.id} {layout.title(language)}",
        "",
        f"{layout.size} 字节；{source}。同一文件中 {names} 不得重复。"
        if chinese
        else f"{layout.size} bytes; {source}. No two records of a file agree in {names}.",
        "",
        "| " + " | ".join(HEADS[chinese]) + " |",
        "| ---: | ---: | --- | --- | --- | --- |",
    ]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows(layout, language)]
    return "\n".join(lines)


def rows(layout: Format, language: str = "en") -> list[tuple[int, int | str, str, str, str, str]]:
    """The cells of a layout's table; the example is what stands there, in bytes, its blanks left off."""
    raw = layout.examples[0][0].encode(ENCODING)
    found: list[tuple[int, int | str, str, str, str, str]] = []
    for column in layout.columns:
        at = layout.offsets[column.name]
        shown = raw[at : at + column.size].decode(ENCODING).rstrip()
        example = f"`{shown}`" if shown else ""
        found.append((at, column.size, f"`{column.name}`", column.kind, column.note, example))
    if layout.tail_max:
        most, words = (f"至 {2 * layout.tail_max}", "十六进制数字") if language.startswith("zh") else (
            f"to {2 * layout.tail_max}", "in hexadecimal digits"
        )  # fmt: skip
        found.append((layout.size, most, f"`{TAIL}`", "TLV", words, f"`{raw[layout.size :].decode()}`"))
    return found


def tables(language: str = "en") -> str:
    """All layouts."""
    return "\n\n".join(table(layout, language) for layout in FORMATS.values())


def moves() -> str:
    """The states of an exchanged tap and the stages of a dispute, as tables of legal moves."""
    lines = ["### An exchanged tap", "", "| From | Event | To |", "| --- | --- | --- |"]
    lines += [f"| {before} | {event} | {after} |" for (before, event), after in states.NEXT.items()]
    lines += ["", "### A dispute", "", "| From | Act | Whose | To |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {before} | {act} | {disputes.WHO[act]} | {after} |"
        for (before, act), after in disputes.NEXT.items()
    ]
    return "\n".join(lines)


def code_tables() -> str:
    """Error codes, causes and replies, in both languages."""
    lines = []
    for title, found in (("Error codes", codes.ERRORS), ("Causes", codes.CAUSES), ("Replies", codes.REPLIES)):
        lines += [f"### {title}", "", "| Code | English | 中文 |", "| --- | --- | --- |"]
        lines += [f"| {code} | {en} | {zh} |" for code, (en, zh) in found.items()] + [""]
    return "\n".join(lines).rstrip()
