# SPDX-License-Identifier: Apache-2.0
"""Reads a CSV file of any size in blocks of whole lines, compressed or not, and loses count of no line.

A block is parsed by Arrow where it is clean. Where Arrow stumbles (a cell too many, a byte of another
encoding, an empty line) the same block is read line by line, so that each bad line is known by its number
and all others are kept. A quoted cell may hold commas, not line ends.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pacsv

from citycard.clearing.replay.fileformat import ROLES, FileFormat
from citycard.clearing.replay.problems import (
    REPLAY_COLUMNS,
    REPLAY_EMPTY,
    REPLAY_ENCODING,
    REPLAY_FILE_MISSING,
    REPLAY_FILE_UNREADABLE,
    REPLAY_NOT_LINES,
)

BLOCK_BYTES: Final = 4 * 1024 * 1024  # some 40 000 lines: large enough for Arrow, small beside the memory
LINE_BYTES_MAX: Final = 1024 * 1024  # a longer line is no record
SAMPLE_DECODABLE: Final = 0.5  # fewer lines than this in the right encoding: the whole file is in another
PACKED: Final = {".zst": "zstd", ".gz": "gzip", ".bz2": "bz2", ".lz4": "lz4"}
BOM: Final = b"\xef\xbb\xbf"
COLUMNS: Final = ("row", *ROLES, "rest")
SCHEMA: Final = pa.schema([("row", pa.int64()), *((name, pa.string()) for name in (*ROLES, "rest"))])


@dataclass(slots=True)
class Block:
    """Rows of the columns `COLUMNS` (`row` is the line number less one), and the lines that are none."""

    table: pa.Table
    bad: list[tuple[int, str]] = field(default_factory=list)  # (row, COLUMNS_WRONG | ENCODING_WRONG)


def read_blocks(path: Path, form: FileFormat, progress: Callable[[int, int], None]) -> Iterator[Block]:
    """The file's rows, block by block; `progress` is told bytes read and bytes in all.

    Raises the problems of a file that cannot be used as a whole: missing, empty, unreadable, without line
    ends, in another encoding, without the columns the format needs.
    """
    if not path.is_file():
        raise REPLAY_FILE_MISSING(path=path)
    lines = _whole_lines(path, progress)
    first = next(lines, None)
    if first is None:
        raise REPLAY_EMPTY(path=path)
    head, _, body = first.removeprefix(BOM).partition(b"\n")
    _check_encoding(path, form, head, body)
    header = _cells(head.decode(form.encoding))
    names = [name.strip() for name in header or []]
    missing = [column for column in form.columns.values() if column not in names]
    if missing:
        found = ", ".join(names)[:200]
        raise REPLAY_COLUMNS(path=path, missing=", ".join(missing), format=form.name, found=found)
    row = 1
    while True:
        if body:
            yield _parse(body, names, form, row)
            row += body.count(b"\n") + (not body.endswith(b"\n"))
        following = next(lines, None)
        if following is None:
            return
        body = following


def _whole_lines(path: Path, progress: Callable[[int, int], None]) -> Iterator[bytes]:
    """The text in blocks that end at a line end."""
    rest = b""
    for chunk in _chunks(path, progress):
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield rest + chunk[:cut]
            rest = chunk[cut:]
        else:
            rest += chunk
        if len(rest) > LINE_BYTES_MAX:
            raise REPLAY_NOT_LINES(path=path, limit=LINE_BYTES_MAX)
    if rest:
        yield rest


def _chunks(path: Path, progress: Callable[[int, int], None]) -> Iterator[bytes]:
    """The text in blocks of some size, unpacked if it is packed."""
    offset = 0
    try:
        total = path.stat().st_size
        with pa.OSFile(str(path), "rb") as file:
            packed = PACKED.get(path.suffix)
            stream: Any = pa.CompressedInputStream(file, packed) if packed else file
            while chunk := stream.read(BLOCK_BYTES):
                offset += len(chunk)
                progress(min(file.tell(), total), total)
                yield chunk
    except OSError as fault:
        raise REPLAY_FILE_UNREADABLE(path=path, offset=offset, why=str(fault)) from None


def _check_encoding(path: Path, form: FileFormat, head: bytes, body: bytes) -> None:
    """Refuse a file that is in another encoding as a whole; single bad lines are counted later."""
    sample = [head, *body[: 64 * 1024].split(b"\n")[:-1]]
    fits = [_decodes(line, form.encoding) for line in sample]
    if fits[0] and b"\0" not in head and sum(fits) >= SAMPLE_DECODABLE * len(fits):
        return
    hinted = b"\0" not in head and all(_decodes(line, form.encoding_hint) for line in sample)
    other = form.encoding_hint if hinted else "UTF-16" if b"\0" in head else "ENCODING"
    seems = "" if other == "ENCODING" else f" (it seems to be {other})"
    raise REPLAY_ENCODING(path=path, encoding=form.encoding, seems=seems, other=other)


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _parse(body: bytes, names: list[str], form: FileFormat, row: int) -> Block:
    """Parse one block, fast if it is clean."""
    lines = body.count(b"\n") + (not body.endswith(b"\n"))
    try:
        table = pacsv.read_csv(
            pa.py_buffer(body),
            read_options=pacsv.ReadOptions(column_names=names, encoding=form.encoding, use_threads=False),
            parse_options=pacsv.ParseOptions(quote_char='"' if b'"' in body else False),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return _parse_lines(body, names, form, row)
    if len(table) != lines:
        return _parse_lines(body, names, form, row)
    columns = [table.column(form.columns[role]) for role in ROLES]
    rows = pa.array(range(row, row + lines), pa.int64())
    others = [table.column(name) for name in names if name not in set(form.columns.values())]
    rest = _joined(others) if others else pa.array([""] * lines, pa.string())
    return Block(pa.table([rows, *columns, rest], schema=SCHEMA))


def _joined(columns: list[Any]) -> Any:
    import pyarrow.compute as pc

    return columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "\x1f")


def _parse_lines(body: bytes, names: list[str], form: FileFormat, row: int) -> Block:
    """Parse one block line by line, keeping what can be kept."""
    where = [names.index(form.columns[role]) for role in ROLES]
    others = [i for i in range(len(names)) if i not in where]
    kept: list[list[Any]] = [[] for _ in COLUMNS]
    bad = []
    for number, raw in enumerate(body.removesuffix(b"\n").split(b"\n"), start=row):
        if not raw.strip():
            continue
        try:
            cells = _cells(raw.decode(form.encoding))
        except UnicodeDecodeError:
            bad.append((number, "ENCODING_WRONG"))
            continue
        if cells is None or len(cells) != len(names):
            bad.append((number, "COLUMNS_WRONG"))
            continue
        values = [number, *(cells[i] for i in where), "\x1f".join(cells[i] for i in others)]
        for column, value in zip(kept, values, strict=True):
            column.append(value)
    return Block(
        pa.table([pa.array(c, t) for c, t in zip(kept, SCHEMA.types, strict=True)], schema=SCHEMA), bad
    )


def _cells(line: str) -> list[str] | None:
    """The cells of one line; none if a quoted cell is not closed in it."""
    try:
        rows = list(csv.reader([line.rstrip("\r")], strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None
