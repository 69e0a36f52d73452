# SPDX-License-Identifier: Apache-2.0
"""Reads the CSV tables of fare feeds, plain or compressed, and amounts of money without a float."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

from citycard.core.problem import declare

ROWS_MAX: Final = 5_000_000
BYTES_MAX: Final = 512 * 2**20
PACKED: Final = {".zst": "zstd", ".gz": "gzip"}
AMOUNT: Final = re.compile(r"(\d{1,9})(?:\.(\d{1,2}))?$")

FEED_FILE = declare(
    "FEED_FILE",
    "{path} cannot be read: {why}. Fetch the feed again, or name its folder.",
    "无法读取 {path}：{why}。请重新获取数据，或指定其目录。",
)
FEED_ROW = declare(
    "FEED_ROW",
    "{path}, row {row}: {why}. Correct that row and import again.",
    "{path} 第 {row} 行：{why}。请修正后重新导入。",
)


def rows(path: Path, needed: tuple[str, ...] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows with their number in the file, counted with the header; FEED_FILE, FEED_ROW."""
    reader = csv.DictReader(io.StringIO(_text(path), newline=""))
    missing = [name for name in needed if name not in (reader.fieldnames or ())]
    if missing:
        raise FEED_FILE(path=path, why=f"column {missing[0]} is missing")
    for number, row in enumerate(reader, start=2):
        if number > ROWS_MAX:
            raise FEED_FILE(path=path, why=f"more than {ROWS_MAX} rows")
        if None in row or None in row.values():
            raise FEED_ROW(path=path, row=number, why="it has more or fewer cells than the header")
        yield number, row


def minor(text: str, path: Path, row: int) -> int:
    """An amount such as `12.50` in minor units (1250)."""
    found = AMOUNT.match(text.strip())
    if not found:
        raise FEED_ROW(path=path, row=row, why=f"{text!r} is no amount")
    return int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as fault:
        raise FEED_FILE(path=path, why=fault.strerror) from None
    if path.suffix in PACKED:
        try:
            raw = pa.CompressedInputStream(pa.BufferReader(raw), PACKED[path.suffix]).read()
        except (OSError, pa.ArrowInvalid) as fault:
            raise FEED_FILE(path=path, why=f"it does not unpack: {fault}") from None
    if len(raw) > BYTES_MAX:
        raise FEED_FILE(path=path, why=f"it is larger than {BYTES_MAX} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise FEED_FILE(path=path, why=f"byte {fault.start} is not UTF-8") from None
