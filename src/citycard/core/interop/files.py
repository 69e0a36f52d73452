# SPDX-License-Identifier: Apache-2.0
"""A whole exchange file: its name, its two forms, and everything that can be wrong with one.

Text form (facts 8.2): line 1 the version `01`; line 2 the header of 49 characters: count 6, date 8, receiver
11, record length without TLV 4, twenty F; then the records, GBK, lines ending in LF (CR LF is read as well).
Modern form: JSON Lines in UTF-8, a first object that says what the file is, then one object a record with the
same names; dates in ISO form, TLV in hexadecimal digits. Both carry the same values.

A file is known by its name, `CD_99010000001_99990000001_20260302_000017.txt`: id, sender, receiver, business
date, sequence. The sequence counts all files but LD from one member to another without gaps; LD counts its
own, because it is what one asks with when files are missing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final

from citycard.core.interop.columns import LINE_MAX, TAIL, Format
from citycard.core.interop.lists import FORMATS
from citycard.core.problem import Problem, declare

VERSION: Final = "01"
HEADER_SIZE: Final = 49
FILL: Final = b"F" * 20
RECORDS_MAX: Final = 999_999  # six digits of the header
FILE_BYTES_MAX: Final = 512 * 2**20  # about a million records with their TLV
SEQUENCE_MAX: Final = 999_999
CONTROL: Final = "LD"  # has a sequence of its own
TEXT, LINES = "txt", "jsonl"
FORMS: Final = (TEXT, LINES)
NAME: Final = re.compile(r"([A-Z]{2})_([0-9A-Z]{11})_([0-9A-Z]{11})_(\d{8})_(\d{6})\.(txt|jsonl)")
JSON_VERSION: Final = 1

FILE_NAME = declare(
    "FILE_NAME",
    "{name!r} is no name of an exchange file: id, sender, receiver, date and sequence, such as"
    " CD_99010000001_99990000001_20260302_000017.txt.",
    "{name!r} 不是交换文件名。应含文件标识、发送方、接收方、日期和序号，"
    "如 CD_99010000001_99990000001_20260302_000017.txt。",
)
FILE_ENCODING = declare(
    "FILE_ENCODING",
    "Line {line}, byte {byte} of {name} is not {encoding}.",
    "{name} 第 {line} 行第 {byte} 字节不是 {encoding} 编码。",
)
FILE_VERSION = declare(
    "FILE_VERSION",
    "{name} begins with version {found!r}; {known!r} is understood. Ask the sender for that version.",
    "{name} 的版本为 {found!r}，本程序支持 {known!r}，请发送方按此版本重发。",
)
FILE_HEADER = declare(
    "FILE_HEADER",
    "The header (line {line}) of {name} is wrong at {column}: {why}.",
    "{name} 的文件头（第 {line} 行）字段 {column} 有误：{why}。",
)
FILE_COUNT = declare(
    "FILE_COUNT",
    "The header of {name} says {said} records, {found} follow; line {line} is the last one.",
    "{name} 文件头记录数为 {said}，实际为 {found}，最后一行为第 {line} 行。",
)
FILE_JSON = declare(
    "FILE_JSON",
    "Line {line} of {name} is wrong at {column}: {why}.",
    "{name} 第 {line} 行字段 {column} 有误：{why}。",
)
FILE_KIND = declare(
    "FILE_KIND",
    "There is no kind of exchange file called {found!r}; there are {known}.",
    "没有名为 {found!r} 的交换文件，可用的有 {known}。",
)
FILE_TWICE = declare(
    "FILE_TWICE",
    "Line {line}, column {column} of {name} says {value}, as line {before} does: it may stand in one record"
    " only. Ask the sender for a corrected file.",
    "{name} 第 {line} 行字段 {column} 的值 {value} 与第 {before} 行重复，同一文件中只能出现一次，"
    "请发送方更正后重发。",
)


@dataclass(frozen=True, slots=True, order=True)
class FileName:
    """What a file's name says: its id, from whom to whom, the business date, the sequence, the form."""

    file: str
    sender: str
    receiver: str
    business_date: date
    sequence: int
    form: str = TEXT

    def __post_init__(self) -> None:
        if self.file not in FORMATS or not 0 < self.sequence <= SEQUENCE_MAX or not NAME.fullmatch(str(self)):
            raise FILE_NAME(name=str(self))

    def __str__(self) -> str:
        day = _digits_of(self.business_date)
        return f"{self.file}_{self.sender}_{self.receiver}_{day}_{self.sequence:06d}.{self.form}"

    @property
    def format(self) -> Format:
        """The layout of its records."""
        return FORMATS[self.file]

    @property
    def control(self) -> bool:
        """Whether it stands outside the channel's sequence."""
        return self.file == CONTROL

    @classmethod
    def parse(cls, name: str) -> FileName:
        """The name in its parts; FILE_NAME when it is none."""
        found = NAME.fullmatch(name)
        if found is None or found[1] not in FORMATS:
            raise FILE_NAME(name=name[:80])
        try:
            day = date(int(found[4][:4]), int(found[4][4:6]), int(found[4][6:]))
        except ValueError:
            raise FILE_NAME(name=name) from None
        return cls(found[1], found[2], found[3], day, int(found[5]), found[6])


def _digits_of(day: date) -> str:
    """`20260302`: strftime takes ten times as long, and every file has its name looked at a dozen times."""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"


def digest_of(raw: bytes) -> str:
    """SHA-256 of a file's bytes in hex: what tells a repeat from an alteration."""
    return hashlib.sha256(raw).hexdigest()


def write(name: FileName, records: list[Mapping[str, Any]]) -> bytes:
    """The bytes of a file; FILE_COLUMN names a value that does not fit, by line and column."""
    if len(records) > RECORDS_MAX:
        raise FILE_COUNT(name=name, said=RECORDS_MAX, found=len(records), line=len(records) + 2)
    return _write_text(name, records) if name.form == TEXT else _write_lines(name, records)


def read(name: FileName, raw: bytes) -> list[dict[str, Any]]:
    """The records of a file, all of them checked.

    Problems, each with its line and column: FILE_VERSION, FILE_HEADER, FILE_COUNT, FILE_ENCODING, FILE_LINE,
    FILE_COLUMN, FILE_JSON, FILE_TWICE.
    """
    text = name.form == TEXT
    records = _read_text(name, raw) if text else _read_lines(name, raw)
    _check_once(name, records, 3 if text else 2)
    return records


def _check_once(name: FileName, records: list[dict[str, Any]], first_line: int) -> None:
    """No two records of a file go by one name; FILE_TWICE tells both lines."""
    once = name.format.once
    lines: dict[tuple[Any, ...], int] = {}
    for line, record in enumerate(records, start=first_line):
        key = tuple(record[column] for column in once)
        before = lines.setdefault(key, line)
        if before != line:
            value = "/".join(str(part) for part in key)
            raise FILE_TWICE(line=line, column="/".join(once), name=name, value=value, before=before)


def _write_text(name: FileName, records: list[Mapping[str, Any]]) -> bytes:
    layout = name.format
    day = _digits_of(name.business_date)
    header = f"{len(records):06d}{day}{name.receiver}{layout.size:04d}".encode() + FILL
    assert len(header) == HEADER_SIZE
    lines = [VERSION.encode(), header]
    lines += [layout.encode(record, line) for line, record in enumerate(records, start=3)]
    return b"\n".join(lines) + b"\n"


def _read_text(name: FileName, raw: bytes) -> list[dict[str, Any]]:
    lines = [line.removesuffix(b"\r") for line in raw.split(b"\n")]
    if lines[-1] == b"":
        lines.pop()
    first = lines[0] if lines else b""
    if first != VERSION.encode():
        raise FILE_VERSION(name=name, found=first[:20].decode("ascii", "replace"), known=VERSION)
    said = _text_header(name, lines[1] if len(lines) > 1 else b"")
    if len(lines) - 2 != said:
        raise FILE_COUNT(name=name, said=said, found=len(lines) - 2, line=len(lines))
    return [name.format.decode(line, number) for number, line in enumerate(lines[2:], start=3)]


def _text_header(name: FileName, line: bytes) -> int:
    """Checks the header against the file's name and layout; returns the count."""
    if len(line) != HEADER_SIZE:
        raise FILE_HEADER(name=name, line=2, column="length", why=f"{len(line)} bytes, {HEADER_SIZE} wanted")
    wanted = {
        "date": (6, 14, _digits_of(name.business_date).encode()),
        "receiver": (14, 25, name.receiver.encode()),
        "record length": (25, 29, f"{name.format.size:04d}".encode()),
        "fill": (29, 49, FILL),
    }
    if not line[:6].isdigit():
        raise FILE_HEADER(name=name, line=2, column="count", why=f"{line[:6]!r} is not all digits")
    for column, (start, end, value) in wanted.items():
        if line[start:end] != value:
            found, told = line[start:end].decode("ascii", "replace"), value.decode()
            raise FILE_HEADER(name=name, line=2, column=column, why=f"{found!r} stands where {told!r} must")
    return int(line[:6])


def _plain_header(name: FileName, count: int) -> dict[str, Any]:
    return {
        "citycard_exchange": JSON_VERSION,
        "file": name.file,
        "sender": name.sender,
        "receiver": name.receiver,
        "business_date": name.business_date.isoformat(),
        "sequence": name.sequence,
        "count": count,
    }


def _write_lines(name: FileName, records: list[Mapping[str, Any]]) -> bytes:
    rows: list[dict[str, Any]] = [_plain_header(name, len(records))]
    for line, record in enumerate(records, start=2):
        name.format.encode(record, line)  # what does not fit the columns does not fit this form either
        rows.append({key: _to_json(value) for key, value in name.format.complete(record).items()})
    return b"".join(_json_line(row) for row in rows)


def _json_line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _to_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return value.isoformat() if isinstance(value, date | time) else value


def _read_lines(name: FileName, raw: bytes) -> list[dict[str, Any]]:
    rows = list(_objects(name, raw))
    header = rows[0] if rows else {}
    if header.get("citycard_exchange") != JSON_VERSION:
        found = str(header.get("citycard_exchange", ""))[:20]
        raise FILE_VERSION(name=name, found=found, known=str(JSON_VERSION))
    said = header.get("count")
    if not isinstance(said, int):
        raise FILE_HEADER(name=name, line=1, column="count", why=f"{said!r} is no number")
    for column, value in _plain_header(name, said).items():
        if header.get(column) != value:
            why = f"{header.get(column)!r} stands where {value!r} must"
            raise FILE_HEADER(name=name, line=1, column=column, why=why)
    if said != len(rows) - 1:
        raise FILE_COUNT(name=name, said=said, found=len(rows) - 1, line=len(rows))
    return [_record(name, row, line) for line, row in enumerate(rows[1:], start=2)]


def _objects(name: FileName, raw: bytes) -> Iterator[dict[str, Any]]:
    lines = raw.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as fault:
            raise FILE_ENCODING(name=name, line=number, byte=fault.start + 1, encoding="UTF-8") from None
        except (ValueError, RecursionError):
            raise FILE_JSON(name=name, line=number, column="line", why="it is no JSON") from None
        if not isinstance(row, dict) or len(line) > 2 * LINE_MAX:
            raise FILE_JSON(name=name, line=number, column="line", why="it is no object of a record's size")
        yield row


def _record(name: FileName, row: dict[str, Any], line: int) -> dict[str, Any]:
    """The record in a JSON object: exactly the layout's names, values that fit its columns."""
    layout = name.format
    kinds = {column.name: column.kind for column in layout.columns}
    wanted = [*kinds, TAIL] if layout.tail_max else list(kinds)
    if sorted(row) != sorted(wanted):
        odd = sorted(set(row) ^ set(wanted))[0]
        why = "there is no such column" if odd in row else "it is missing"
        raise FILE_JSON(name=name, line=line, column=odd[:40], why=why)
    values = {}
    for column in wanted:
        try:
            values[column] = _from_json(kinds.get(column, "tail"), row[column])
        except (ValueError, TypeError) as why:
            raise FILE_JSON(name=name, line=line, column=column, why=why) from None
    return layout.decode(layout.encode(values, line), line)


def _from_json(kind: str, value: Any) -> Any:
    if kind in ("date", "day"):
        return None if value is None else date.fromisoformat(value)
    reader = {"time": time.fromisoformat, "moment": datetime.fromisoformat, "tail": bytes.fromhex}.get(kind)
    return reader(value) if reader else value


__all__ = [
    "CONTROL", "FORMS", "LINES", "TEXT", "FileName", "Problem", "digest_of", "read", "write",
]  # fmt: skip
