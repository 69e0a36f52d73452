# SPDX-License-Identifier: Apache-2.0
"""Fixed-column GBK lines: a record of an exchange file is one declaration of columns, never code.

Columns are counted in bytes, not characters: a Chinese character takes two of a column's bytes, and one
that is cut by the column's end is refused. Numbers stand right with zeros before them, texts stand left with
blanks behind them. A record may have a tail of TLV data in hexadecimal digits behind its last column.
The layouts themselves stand in `citycard.core.interop.formats` (card facts section 8.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, Final, TypeVar

from citycard.core.money import FEN_MAX
from citycard.core.problem import Problem, declare
from citycard.core.tlv import TlvError, parse

ENCODING: Final = "gbk"
TAIL: Final = "verification"  # the name the TLV tail has among a record's values
T = TypeVar("T")
LINE_MAX: Final = 4096  # bytes of a line: the longest record with the longest tail has 2383

FILE_COLUMN = declare(
    "FILE_COLUMN",
    "Line {line}, column {column} (bytes {first} to {last}) of a {file} record: {why}.",
    "{file} 记录第 {line} 行、字段 {column}（第 {first}–{last} 字节）：{why}。",
)
FILE_LINE = declare(
    "FILE_LINE",
    "Line {line} of a {file} file has {found} bytes, a record has {wanted}: it is cut short or another kind.",
    "{file} 文件第 {line} 行为 {found} 字节，应为 {wanted} 字节：记录不完整或种类不符。",
)


class Misfit(ValueError):
    """A value does not fit its column; the caller says where."""


def _digits(value: Any, size: int) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**size:
        raise Misfit(f"{value!r} is no number of at most {size} digits")
    if value > FEN_MAX:
        raise Misfit(f"{value} is more than any account or counter holds")
    return f"{value:0{size}d}".encode()


def _from_digits(raw: bytes) -> int:
    if not raw.isdigit():
        raise Misfit(f"{_shown(raw)} is not all digits")
    if int(raw) > FEN_MAX:
        raise Misfit(f"{_shown(raw)} is more than any account or counter holds")
    return int(raw)


def _signed(value: Any, size: int) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Misfit(f"{value!r} is no whole number")
    return (b"-" if value < 0 else b"+") + _digits(abs(value), size - 1)


def _from_signed(raw: bytes) -> int:
    if raw[:1] not in b"+-" or raw[1:] == b"" or (raw[:1] == b"-" and not int(raw[1:] or b"0")):
        raise Misfit(f"{_shown(raw)} does not begin with its sign")
    value = _from_digits(raw[1:])
    return -value if raw[:1] == b"-" else value


def _text(value: Any, size: int) -> bytes:
    if not isinstance(value, str) or value != value.rstrip(" ") or any(mark < " " for mark in value):
        raise Misfit(f"{value!r} is no text of one line without blanks at its end")
    try:
        raw = value.encode(ENCODING)
    except UnicodeEncodeError as error:
        raise Misfit(f"{value[error.start]!r} is not in GBK") from None
    if len(raw) > size:
        raise Misfit(f"{value!r} has {len(raw)} bytes in GBK, the column has {size}")
    return raw.ljust(size)


def _from_text(raw: bytes) -> str:
    try:
        value = raw.decode(ENCODING)
    except UnicodeDecodeError:
        raise Misfit(f"{_shown(raw)} is not GBK") from None
    text = value.rstrip(" ")
    if _text(text, len(raw)) != raw:
        raise Misfit(f"{_shown(raw)} is not how GBK writes this text")
    return text


def _code(value: Any, size: int) -> bytes:
    raw = _text(value, size)
    if raw.strip() and (len(raw.strip()) != size or not raw.isalnum() or not raw.isascii()):
        raise Misfit(f"{value!r} is no code of {size} letters and digits")
    return raw


def _from_code(raw: bytes) -> str:
    value = _from_text(raw)
    _code(value, len(raw))
    return value


def _date(value: Any, size: int) -> bytes:
    if value is None:
        return b"0" * size
    if not isinstance(value, date) or isinstance(value, datetime):
        raise Misfit(f"{value!r} is no date")
    return f"{value.year:04d}{value.month:02d}{value.day:02d}".encode()


def _from_date(raw: bytes) -> date | None:
    if raw == b"0" * 8:
        return None
    return _moment_part(raw, lambda n: date(n // 10000, n // 100 % 100, n % 100), "date")


def _day(value: Any, size: int) -> bytes:
    if value is None:
        raise Misfit("there is no date")
    return _date(value, size)


def _from_day(raw: bytes) -> date:
    day = _from_date(raw)
    if day is None:
        raise Misfit(f"{_shown(raw)} is no date")
    return day


def _time(value: Any, size: int) -> bytes:
    if not isinstance(value, time) or value.microsecond:
        raise Misfit(f"{value!r} is no time in whole seconds")
    return f"{value.hour:02d}{value.minute:02d}{value.second:02d}".encode()


def _from_time(raw: bytes) -> time:
    return _moment_part(raw, lambda n: time(n // 10000, n // 100 % 100, n % 100), "time of day")


def _moment(value: Any, size: int) -> bytes:
    if not isinstance(value, datetime):
        raise Misfit(f"{value!r} is no moment")
    return _date(value.date(), 8) + _time(value.time(), 6)


def _from_moment(raw: bytes) -> datetime:
    return datetime.combine(_from_day(raw[:8]), _from_time(raw[8:]))


def _moment_part(raw: bytes, build: Callable[[int], T], what: str) -> T:
    number = _from_digits(raw)
    try:
        return build(number)
    except ValueError:
        raise Misfit(f"{_shown(raw)} is no {what}") from None


def _shown(raw: bytes) -> str:
    return repr(raw.decode("ascii", "backslashreplace"))


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of a kind are written and read, what stands where nothing is given, and its only size."""

    write: Callable[[Any, int], bytes]
    read: Callable[[bytes], Any]
    empty: Any
    size: int | None = None


KINDS: Final[dict[str, Kind]] = {
    "number": Kind(_digits, _from_digits, 0),  # also amounts in fen: right, zeros before
    "signed": Kind(_signed, _from_signed, 0),  # a sign, then digits
    "text": Kind(_text, _from_text, ""),  # left, blanks behind, GBK
    "code": Kind(_code, _from_code, ""),  # letters and digits that fill the column, or nothing
    "date": Kind(_date, _from_date, None, 8),  # 00000000 for none
    "day": Kind(_day, _from_day, date(2000, 1, 1), 8),  # there must be one
    "time": Kind(_time, _from_time, time(0), 6),
    "moment": Kind(_moment, _from_moment, datetime(2000, 1, 1), 14),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, size in bytes, kind, and what it means."""

    name: str
    size: int
    kind: str = "text"
    note: str = ""

    def __post_init__(self) -> None:
        only = KINDS[self.kind].size
        assert self.size > 0, self.name
        assert only in (None, self.size), f"{self.name}: a {self.kind} has {only} bytes"


@dataclass(frozen=True)
class Format:
    """The records of one kind of file: its two-letter id, titles, where the layout is from, its columns.

    `source` is `facts` when the layout is published by implementations, `inferred` when it was built from
    such a one, `own` when it is citycard's. `tail_max` is how many bytes of TLV may follow the columns.
    `once` are the columns by which any two records of a file differ.
    """

    id: str
    en: str
    zh: str
    source: str
    columns: tuple[Column, ...]
    tail_max: int = 0
    examples: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    once: tuple[str, ...] = ()
    offsets: dict[str, int] = field(init=False, repr=False, compare=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        assert self.source in ("facts", "inferred", "own"), self.source
        offsets: dict[str, int] = {}
        at = 0
        for column in self.columns:
            assert column.name not in {*offsets, TAIL}, f"{self.id}: {column.name} stands twice"
            offsets[column.name] = at
            at += column.size
        assert set(self.once) <= set(offsets), self.id
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "size", at)

    def title(self, language: str = "en") -> str:
        """For people, in English or Chinese."""
        return self.zh if language.startswith("zh") else self.en

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """All columns in order, those not given at their kind's empty value; `ValueError` for a stranger."""
        if strange := sorted(values.keys() - self.offsets.keys() - ({TAIL} if self.tail_max else set())):
            raise ValueError(f"{self.id} records have no column {strange[0]!r}")
        row = {c.name: values.get(c.name, KINDS[c.kind].empty) for c in self.columns}
        return row | ({TAIL: values.get(TAIL, b"")} if self.tail_max else {})

    def encode(self, values: Mapping[str, Any], line: int = 0) -> bytes:
        """One line without its end; FILE_COLUMN names the column that does not fit."""
        row = self.complete(values)
        parts = []
        for column in self.columns:
            try:
                parts.append(KINDS[column.kind].write(row[column.name], column.size))
            except Misfit as why:
                raise self._problem(column, line, why) from None
        return b"".join(parts) + (self._tail_text(row[TAIL], line) if self.tail_max else b"")

    def decode(self, raw: bytes, line: int = 0) -> dict[str, Any]:
        """The values of one line; FILE_LINE when its length is wrong, FILE_COLUMN names a bad one."""
        most = self.size + 2 * self.tail_max
        if len(raw) < self.size or len(raw) > most or (not self.tail_max and len(raw) != self.size):
            raise FILE_LINE(line=line, file=self.id, found=len(raw), wanted=self.size)
        row: dict[str, Any] = {}
        at = 0
        for column in self.columns:
            try:
                row[column.name] = KINDS[column.kind].read(raw[at : at + column.size])
            except Misfit as why:
                raise self._problem(column, line, why) from None
            at += column.size
        if self.tail_max:
            row[TAIL] = self._tail(raw[at:], line)
        return row

    def _tail(self, text: bytes, line: int) -> bytes:
        try:
            tail = bytes.fromhex(text.decode("ascii"))
            if tail.hex().upper().encode() != text:
                raise ValueError("hexadecimal digits are capital and without blanks")
            list(parse(tail))
        except (ValueError, TlvError) as why:
            raise self._tail_problem(line, len(text), why) from None
        return tail

    def _tail_text(self, tail: Any, line: int) -> bytes:
        if not isinstance(tail, bytes) or len(tail) > self.tail_max:
            raise self._tail_problem(line, 0, f"at most {self.tail_max} bytes of TLV")
        return tail.hex().upper().encode()

    def _problem(self, column: Column, line: int, why: object) -> Problem:
        at = self.offsets[column.name]
        place = {"first": at + 1, "last": at + column.size}
        return FILE_COLUMN(line=line, file=self.id, column=column.name, why=why, **place)

    def _tail_problem(self, line: int, size: int, why: object) -> Problem:
        return FILE_COLUMN(
            line=line, file=self.id, column=TAIL, why=why, first=self.size + 1, last=self.size + size
        )
