# SPDX-License-Identifier: Apache-2.0
"""Declared layouts: a card file, a record or a batch header is one declaration, never code.

A `Layout` lists its fields under its clause of the standard. It encodes keyword values to bytes and
decodes bytes to a dict, both ways exact, and carries example pairs which one generic test checks.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from citycard.core.calendar import bcd_datetime, from_bcd_datetime


class LayoutError(ValueError):
    """Bytes or values do not fit a declared layout; says which layout, which field and why."""


def _date_to_bcd(value: date | None) -> bytes:
    return bytes(4) if value is None else bytes.fromhex(f"{value.year:04d}{value.month:02d}{value.day:02d}")


def _date_from_bcd(raw: bytes) -> date | None:
    if raw == bytes(4):
        return None
    text = raw.hex()
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


def _moment_to_bcd(value: datetime | None) -> bytes:
    return bytes(7) if value is None else bcd_datetime(value)


def _same(value: Any) -> Any:
    return value


KINDS: Final[dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "uint": (_same, _same),
    "raw": (bytes, bytes),
    "bcd": (bytes.fromhex, bytes.hex),  # an even number of digits as text
    "date": (_date_to_bcd, _date_from_bcd),
    "moment": (_moment_to_bcd, from_bcd_datetime),
}
NATIVE_UINT: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field: name, size in bytes, kind (`uint`, `raw`, `bcd`, `date`, `moment`) and its default."""

    name: str
    size: int
    kind: str = "uint"
    default: Any = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise LayoutError(f"field {self.name}: unknown kind {self.kind!r}")
        if (self.kind == "date" and self.size != 4) or (self.kind == "moment" and self.size != 7):
            raise LayoutError(f"field {self.name}: a {self.kind} is not {self.size} bytes")

    def empty(self) -> Any:
        """The value a field takes when none is given."""
        if self.default is not None:
            return self.default
        return {"uint": 0, "raw": bytes(self.size), "bcd": "00" * self.size}.get(self.kind)


@dataclass(frozen=True)
class Layout:
    """A fixed-length record: its name, its clause, its fields in order, and example pairs."""

    name: str
    clause: str
    fields: tuple[Field, ...]
    examples: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    _struct: struct.Struct = field(init=False, repr=False, compare=False)
    _convert: tuple[tuple[int, str, Callable[[Any], Any], Callable[[Any], Any]], ...] = field(
        init=False, repr=False, compare=False
    )
    _sized: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)
    _defaults: dict[str, Any] = field(init=False, repr=False, compare=False)
    offsets: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = [f.name for f in self.fields]
        if len(set(names)) != len(names):
            raise LayoutError(f"{self.name}: two fields share a name")
        codes: list[str] = []
        convert: list[tuple[int, str, Callable[[Any], Any], Callable[[Any], Any]]] = []
        sized: list[tuple[int, int]] = []
        offsets: dict[str, int] = {}
        at = 0
        for i, f in enumerate(self.fields):
            offsets[f.name] = at
            at += f.size
            if f.kind == "uint" and f.size in NATIVE_UINT:
                codes.append(NATIVE_UINT[f.size])
                continue
            codes.append(f"{f.size}s")
            sized.append((i, f.size))
            if f.kind == "uint":
                convert.append((i, f.name, _uint_writer(f.size), _read_uint))
            elif f.kind != "raw":
                convert.append((i, f.name, *KINDS[f.kind]))
        object.__setattr__(self, "_struct", struct.Struct(">" + "".join(codes)))
        object.__setattr__(self, "_convert", tuple(convert))
        object.__setattr__(self, "_sized", tuple(sized))
        object.__setattr__(self, "_defaults", {f.name: f.empty() for f in self.fields})
        object.__setattr__(self, "offsets", offsets)

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._struct.size

    def span(self, name: str) -> slice:
        """Where a field lies, as a slice of the encoded bytes."""
        size = next(f.size for f in self.fields if f.name == name)
        return slice(self.offsets[name], self.offsets[name] + size)

    def encode(self, **values: Any) -> bytes:
        """Bytes of the given values, absent ones at their default; `LayoutError` names a misfit."""
        if not values.keys() <= self.offsets.keys():
            unknown = values.keys() - self.offsets.keys()
            raise LayoutError(f"{self.name}: no field {sorted(unknown)[0]!r}")
        row = [*(self._defaults | values).values()]
        try:
            for i, _, write, _ in self._convert:
                row[i] = write(row[i])
            for i, size in self._sized:
                if len(row[i]) != size:
                    name = self.fields[i].name
                    raise LayoutError(f"{self.name}.{name}: {len(row[i])} bytes given, {size} wanted")
            return self._struct.pack(*row)
        except LayoutError:
            raise
        except (struct.error, ValueError, TypeError, AttributeError, OverflowError) as problem:
            raise LayoutError(f"{self.name}: {self._misfit(values)}: {problem}") from None

    def decode(self, raw: bytes) -> dict[str, Any]:
        """Values of all fields; `LayoutError` when the length is wrong or a field holds no valid value."""
        if len(raw) != self._struct.size:
            raise LayoutError(f"{self.name}: {len(raw)} bytes given, {self._struct.size} wanted")
        row = list(self._struct.unpack(raw))
        i = 0
        try:
            for i, _, _, read in self._convert:
                row[i] = read(row[i])
        except ValueError:
            wrong = f"{self.name}.{self.fields[i].name}"
            raise LayoutError(f"{wrong}: {bytes(row[i]).hex()} is no valid value") from None
        return dict(zip(self.offsets, row))  # noqa: B905 - the struct has as many values as there are fields

    def _misfit(self, values: Mapping[str, Any]) -> str:
        """Name the first field whose value alone cannot be encoded."""
        for f in self.fields:
            if f.name not in values:
                continue
            try:
                written = KINDS[f.kind][0](values[f.name])
                if f.kind == "uint" and not 0 <= written < 256**f.size:
                    return f"{f.name} does not fit {f.size} bytes"
            except (ValueError, TypeError, AttributeError):
                return f.name
        return "values"


def _read_uint(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _uint_writer(size: int) -> Callable[[int], bytes]:
    return lambda value: value.to_bytes(size, "big")
