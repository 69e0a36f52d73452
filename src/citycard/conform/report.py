# SPDX-License-Identifier: Apache-2.0
"""The laboratory's report: one self-contained, printable HTML page in English and Chinese, and JUnit XML.

Both are made of the same results. Long traces are shown by their beginning and end; `trace.txt` beside the
report holds every exchange.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined

from citycard import __version__
from citycard.conform.annotate import explained, in_words
from citycard.conform.bench import identity
from citycard.conform.catalogue import CATALOGUES, GROUPS
from citycard.conform.model import VERDICTS, Case, Result, Text, Verdict
from citycard.conform.run import Orders
from citycard.conform.stands import Stand
from citycard.conform.terminal.scenarios import GROUPS as TERMINAL_GROUPS
from citycard.core.problem import declare
from citycard.core.trace import Span, Traced, export

HTML, JUNIT, TRACE = "report.html", "junit.xml", "trace.txt"
HEAD_MAX, TAIL_MAX = 30, 10  # exchanges of a trace that the page shows
GONE: Final = "gone"
T = TypeVar("T")
XML_OK: Final = frozenset((0x9, 0xA, 0xD))

CONFORM_REPORT = declare(
    "CONFORM_REPORT",
    "The report cannot be written to {folder}: {why}. Choose another folder with --report.",
    "无法将报告写入 {folder}：{why}。请用 --report 指定其他目录。",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was tested, when, under which permissions, and what came of it.

    `facts` are lines for the head of the page: a bilingual name and a value.
    """

    title: Text
    made_at: datetime
    facts: tuple[tuple[Text, str], ...]
    groups: Mapping[str, Text]
    results: tuple[Result, ...]

    def counts(self) -> dict[Verdict, int]:
        """How many cases ended how."""
        return {verdict: sum(r.verdict is verdict for r in self.results) for verdict in Verdict}

    @property
    def failed(self) -> tuple[Result, ...]:
        """The cases that failed."""
        return tuple(result for result in self.results if result.verdict is Verdict.FAIL)


def html(report: Report, language: str = "en") -> str:
    """The page; `language` is the one it opens in."""
    loader = PackageLoader("citycard.conform")
    page = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    counts = report.counts()
    return page.get_template(HTML).render(
        report=report,
        version=__version__,
        language="zh" if language.startswith("zh") else "en",
        verdicts=[(verdict, VERDICTS[verdict], counts[verdict]) for verdict in Verdict],
        names=VERDICTS,
        groups=list(_grouped(report)),
        shown=_shown,
        total=len(report.results),
    )


def _grouped(report: Report) -> Iterator[tuple[str, Text, list[Result], dict[Verdict, int]]]:
    for code, title in report.groups.items():
        results = [result for result in report.results if result.case.group == code]
        if results:
            counts = {verdict: sum(r.verdict is verdict for r in results) for verdict in Verdict}
            yield code, title, results, counts


def _shown(result: Result) -> list[dict[str, Any]]:
    """The rows of a trace on the page; a row with `left` stands for exchanges that are left out."""
    steps = list(enumerate(zip(explained(result.trace), result.trace, strict=True), 1))
    rows = [_row(number, traced, one.micros) for number, (traced, one) in _ends(steps)]
    if left := len(steps) - len(rows):
        rows.insert(HEAD_MAX, {"left": left})
    return rows


def _ends(steps: list[T]) -> list[T]:
    """What the page shows of a trace: all of a short one, else its beginning and end."""
    return steps if len(steps) <= HEAD_MAX + TAIL_MAX else steps[:HEAD_MAX] + steps[-TAIL_MAX:]


def _row(number: int, traced: Traced, micros: float) -> dict[str, Any]:
    return {
        "left": 0,
        "number": number,
        "words": in_words(traced),
        "command": _fields(traced.spans, traced.command),
        "answer": _fields(traced.answer, traced.response or b""),
        "ms": f"{micros / 1000:.2f}",
    }


def _fields(spans: Sequence[Span], raw: bytes) -> list[tuple[str, Span]]:
    """Fields in order: hex digits, dots for what must not be read, what the field is and means."""
    return [
        ("··" * one.length if one.secret else raw[one.start : one.stop].hex().upper(), one) for one in spans
    ]


def junit(report: Report) -> str:
    """JUnit XML, a suite for each group; what was not run or not decided counts as skipped, with why."""
    root = ET.Element(
        "testsuites", name=report.title.en, timestamp=report.made_at.isoformat(timespec="seconds")
    )
    for code, title, results, counts in _grouped(report):
        skipped = counts[Verdict.NOT_RUN] + counts[Verdict.INCONCLUSIVE]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=f"{code} {title.en}",
            tests=str(len(results)),
            errors="0",
            failures=str(counts[Verdict.FAIL]),
            skipped=str(skipped),
            time=f"{sum(result.seconds for result in results):.6f}",
        )
        for result in results:
            suite.append(_testcase(result))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _testcase(result: Result) -> ET.Element:
    case = result.case
    name = f"{case.id} {case.title.en}"
    node = ET.Element("testcase", classname=f"citycard.{case.group}", name=name, time=f"{result.seconds:.6f}")
    properties = ET.SubElement(node, "properties")
    for key, value in (
        ("clause", case.clause),
        ("source", case.confidence.value.en),
        ("title.zh", case.title.zh),
    ):
        ET.SubElement(properties, "property", name=key, value=value)
    if result.verdict is Verdict.FAIL:
        ET.SubElement(node, "failure", message=_clean(result.why.en))
    elif result.verdict is not Verdict.PASS:
        ET.SubElement(node, "skipped", message=_clean(f"{result.verdict}: {result.why.en}"))
    ET.SubElement(node, "system-out").text = _clean("\n".join(_story(result)))
    return node


def _story(result: Result) -> Iterator[str]:
    """A case for the JUnit file: what was expected, what was observed, and the trace as the page shows it."""
    yield from (f"expected: {text.en}" for text in result.case.expectations)
    yield from (f"observed: {text.en}" for text in result.observed)
    for row in _shown(result):
        if row["left"]:
            yield f"... {row['left']} exchanges more, see {TRACE}"
        else:
            command, answer = (" ".join(shown for shown, *_ in row[side]) for side in ("command", "answer"))
            yield f"{row['number']} {row['words'].en}\n> {command}\n< {answer or GONE}"


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(char for char in text if ord(char) >= 0x20 or ord(char) in XML_OK)


def _dialogue(result: Result, language: str) -> str:
    """A case as a text dialogue: its exchanges in words and bytes."""
    title = f"{result.case.id} {result.case.title.text(language)}"
    verdict = VERDICTS[result.verdict].text(language)
    why = result.why.text(language)
    return export(explained(result.trace), f"{title}: {verdict}: {why}", language)


def write(report: Report, folder: Path, language: str = "en") -> list[Path]:
    """Write page, JUnit file and trace; the files made. CONFORM_REPORT when the folder cannot be written."""
    trace = "\n".join(_dialogue(result, language) for result in report.results)
    files = {HTML: html(report, language), JUNIT: junit(report), TRACE: trace}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as fault:
        raise CONFORM_REPORT(folder=folder, why=fault.strerror or fault) from None
    return [folder / name for name in files]


def card_report(
    results: Sequence[Result], stand: Stand, orders: Orders, profile: str, made_at: datetime
) -> Report:
    """The report on a card, with what must be known to repeat the test."""
    yes, no = "yes / 是", "no / 否"
    atr, pan = identity(stand.field(), stand.kind)
    facts = (
        (Text("Card number", "卡号"), pan),
        (Text("Answer to reset", "复位应答"), atr),
        (Text("Profile and catalogue", "卡型与用例集"), _catalogue(stand, profile, len(results))),
        (Text("Reader", "读写器"), stand.title),
        (Text("Keys at hand", "密钥"), no if stand.keys is None else yes),
        (Text("Writing allowed", "允许写卡"), yes if orders.allow_write else no),
        (Text("Locking allowed", "允许锁卡"), yes if orders.allow_lock else no),
        (Text("Samples for each time", "每项时间样本数"), str(orders.samples)),
        (Text("Time taken", "测试用时"), f"{sum(result.seconds for result in results):.1f} s"),
    )
    title = Text("Card conformance report", "卡片符合性测试报告")
    return Report(title, made_at, facts, GROUPS, tuple(results))


def _catalogue(stand: Stand, profile: str, count: int) -> str:
    """The profile by name and title, and how many of its cases were asked for."""
    title = stand.kind.title
    return f"{profile} ({title.en} / {title.zh}), {count} / {len(CATALOGUES[profile].cases)} cases"


def terminal_report(results: Sequence[Result], title: str, places: str, made_at: datetime) -> Report:
    """The report on a terminal."""
    facts = (
        (Text("Terminal under test", "被测终端"), title),
        (Text("Places", "场所"), places),
        (Text("Scenarios", "场景数"), str(len(results))),
        (Text("Time taken", "测试用时"), f"{sum(result.seconds for result in results):.1f} s"),
    )
    groups = TERMINAL_GROUPS | {"NUM": Text("Records as a whole", "记录整体")}
    return Report(
        Text("Terminal conformance report", "终端符合性测试报告"), made_at, facts, groups, tuple(results)
    )


def catalogue_rows(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """The catalogue as plain values, for JSON."""
    return [
        {
            "id": case.id,
            "group": case.group,
            "title": case.title._asdict(),
            "clause": case.clause,
            "confidence": case.confidence.name.lower(),
            "needs": sorted(case.needs),
            "expectations": [text._asdict() for text in case.expectations],
        }
        for case in cases
    ]


def result_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The results as plain values, for JSON."""
    return [
        {
            "id": result.case.id,
            "verdict": result.verdict.value,
            "why": result.why._asdict(),
            "observed": [text.en for text in result.observed],
            "exchanges": len(result.trace),
            "seconds": round(result.seconds, 6),
        }
        for result in results
    ]


def summary(results: Sequence[Result], language: str) -> str:
    """One line: how many cases ended how."""
    counted = {verdict: sum(r.verdict is verdict for r in results) for verdict in Verdict}
    return ", ".join(f"{VERDICTS[verdict].text(language)} {count}" for verdict, count in counted.items())
