# SPDX-License-Identifier: Apache-2.0
"""The words a case is written in: send and expect, look into what came back, compare files.

Each word gives a `Step`. Commands are hex templates in which `{name}` stands for a kept value; `keep` keeps
the data of an answer under a name. Words for the purse are in `steps_purse`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from citycard.conform.annotate import command_name, status
from citycard.conform.bench import Bench
from citycard.conform.model import Failed, NotRun, Step, Text
from citycard.core.apdu import SW, Command
from citycard.core.layout import Layout, LayoutError
from citycard.core.tlv import TlvError, find

Rule = tuple[Any, ...] | Callable[[Any], bool]
ANY_REFUSAL: Final = -1  # in place of a status word: any but 9000
LENGTHS_TOLD: Final = 0x6C00


def send(
    command: str,
    sw: int | tuple[int, ...] = SW.OK,
    *,
    size: int | None = None,
    data: str | None = None,
    keep: str = "",
) -> Step:
    """Send a command; expect a status word (one of several, or `ANY_REFUSAL`), a size, the data."""
    allowed = sw if isinstance(sw, tuple) else (sw,)
    name = _name(command)

    def run(bench: Bench) -> None:
        answer = bench.send(command)
        told = status(answer.sw)
        bench.note(f"{name.en}: {told.en}", f"{name.zh}：{told.zh}")
        refused = ANY_REFUSAL in allowed and answer.sw != SW.OK and answer.sw >> 8 != 0x61
        if answer.sw not in allowed and not refused:
            raise Failed(
                f"status word {told.en}, expected {_words(allowed)}",
                f"状态字 {told.zh}，应为 {_words(allowed)}",
            )
        if size is not None and len(answer.data) != size:
            count = len(answer.data)
            raise Failed(f"{count} bytes of data, expected {size}", f"数据 {count} 字节，应为 {size} 字节")
        if data is not None and answer.data != bench.filled(data):
            shown = answer.data.hex().upper()
            raise Failed(f"data {shown} differ from what was expected", f"数据 {shown} 与预期不符")
        if keep:
            bench.values[keep] = answer.data

    words = _words(allowed)
    en = f"{name.en} answers {words}" + ("" if size is None else f", {size} bytes")
    zh = f"{name.zh} 应答 {words}" + ("" if size is None else f"，{size} 字节")
    if data is not None:
        en, zh = f"{en}, the data it must hold", f"{zh}，数据符合预期"
    return Step(run, Text(en, zh))


def _name(command: str) -> Text:
    head, _, _ = command.partition("{")
    return command_name(bytes.fromhex(head)[:4])


def _words(allowed: tuple[int, ...]) -> str:
    return " / ".join("≠ 9000" if sw == ANY_REFUSAL else f"{sw:04X}" for sw in allowed)


def select(keep: str = "", purse: str = "") -> Step:
    """SELECT the purse, or the application named (hex)."""
    command = "00A40400{named}00" if not purse else f"00A40400{len(purse) // 2:02X}{purse}00"
    return send(command, keep=keep)


def quiet(command: str) -> Step:
    """Send a command whose answer does not matter here."""

    def run(bench: Bench) -> None:
        bench.send(command)

    return Step(run)


def check(condition: Callable[[Bench], bool], en: str, zh: str) -> Step:
    """A condition on what was kept; the sentence says what must hold."""

    def run(bench: Bench) -> None:
        if not condition(bench):
            raise Failed(f"it does not hold that {en}", f"不满足：{zh}")

    return Step(run, Text(en, zh))


def same(left: str, right: str, en: str, zh: str) -> Step:
    """Two kept values are the same bytes."""

    def run(bench: Bench) -> None:
        a, b = bench.values[left], bench.values[right]
        if a != b:
            told = f"{a.hex().upper()} / {b.hex().upper()}"
            raise Failed(f"not so: {en} ({told})", f"不符：{zh}（{told}）")

    return Step(run, Text(en, zh))


def differ(left: str, right: str, en: str, zh: str) -> Step:
    """Two kept values are not the same bytes."""
    return check(lambda bench: bench.values[left] != bench.values[right], en, zh)


def tag(source: str, *path: int, keep: str, size: int | None = None) -> Step:
    """The value at a path of TLV tags is there (and has this size)."""
    where = ".".join(f"{step:X}" for step in path)

    def run(bench: Bench) -> None:
        try:
            found = find(bench.values[source], *path)
        except TlvError as breach:
            raise Failed(f"malformed TLV: {breach}", f"TLV 格式错误：{breach}") from None
        if found is None:
            raise Failed(f"tag {where} is absent", f"缺少标签 {where}")
        if size is not None and len(found) != size:
            raise Failed(
                f"tag {where} has {len(found)} bytes, not {size}",
                f"标签 {where} 为 {len(found)} 字节，应为 {size}",
            )
        bench.values[keep] = found

    more_en, more_zh = ("", "") if size is None else (f" of {size} bytes", f"，{size} 字节")
    return Step(run, Text(f"tag {where}{more_en} is there", f"存在标签 {where}{more_zh}"))


def fields(source: str, layout: Layout, rules: Mapping[str, Rule] | None = None) -> Step:
    """The bytes decode by a declared layout, and fields hold one of some values or satisfy a rule."""

    def run(bench: Bench) -> None:
        raw = bench.values[source]
        try:
            values = layout.decode(raw[: layout.size])
        except LayoutError as misfit:
            raise Failed(str(misfit), f"格式不符：{misfit}") from None
        for name, rule in (rules or {}).items():
            good = rule(values[name]) if callable(rule) else values[name] in rule
            if not good:
                raise Failed(f"{name} holds {values[name]!r}", f"字段 {name} 的值为 {values[name]!r}")
        bench.values[f"{source}."] = values

    named = ", ".join(rules or ())
    en = f"decodes as {layout.name}" + (f"; {named} valid" if named else "")
    zh = f"符合 {layout.name} 的格式" + (f"，且 {named} 有效" if named else "")
    return Step(run, Text(en, zh))


def unless_blank(source: str, en: str, zh: str) -> Step:
    """Stop without a verdict when a kept value is empty or all 00: there is nothing to look at."""

    def run(bench: Bench) -> None:
        if not any(bench.values[source]):
            raise NotRun(en, zh)

    return Step(run)


def do(action: Callable[[Bench], None], en: str, zh: str) -> Step:
    """A coded step, where data are not enough; it raises `Failed` itself."""
    return Step(action, Text(en, zh))


def prepare(action: Callable[[Bench], None]) -> Step:
    """A coded step that only prepares."""
    return Step(action)


# Records and lengths


def read_records(sfi: int, keep: str, most: int) -> Step:
    """Keep all records of a file as a list."""

    def run(bench: Bench) -> None:
        found = []
        for number in range(1, most + 1):
            record = bench.record(sfi, number)
            if record is None:
                break
            found.append(record)
        bench.values[keep] = found
        bench.note(f"{len(found)} records in EF{sfi:02X}", f"EF{sfi:02X} 有 {len(found)} 条记录")

    return Step(run)


def each(
    source: str, rule: Callable[[int, bytes], bool], en: str, zh: str, needed: Iterable[int] | None = None
) -> Step:
    """Every kept record satisfies a rule of its number and bytes; `needed` are the allowed counts."""
    counts = None if needed is None else frozenset(needed)

    def run(bench: Bench) -> None:
        records = bench.values[source]
        if counts is not None and len(records) not in counts:
            raise Failed(
                f"{len(records)} records, expected {max(counts)}",
                f"{len(records)} 条记录，应为 {max(counts)} 条",
            )
        for number, record in enumerate(records, start=1):
            if not rule(number, record):
                raise Failed(
                    f"record {number} is {record.hex().upper()}",
                    f"第 {number} 条记录为 {record.hex().upper()}",
                )

    return Step(run, Text(en, zh))


def right_length(command: str) -> Step:
    """A Le that is wrong answers 6Cxx, and xx asked again gives the data."""

    def run(bench: Bench) -> None:
        answer = bench.send(command)
        if answer.sw & 0xFF00 != LENGTHS_TOLD:
            told = status(answer.sw)
            raise Failed(f"status word {told.en}, expected 6Cxx", f"状态字 {told.zh}，应为 6Cxx")
        size = answer.sw & 0xFF
        again = bench.send(Command.decode(bench.filled(command)).header + bytes((size,)))
        if not again.ok or len(again.data) != size:
            raise Failed(f"asked for {size} bytes it does not give them", f"按 {size} 字节重取失败")

    return Step(run, Text("6Cxx, and xx bytes when asked again", "应答 6Cxx，按 xx 重取成功"))
