# SPDX-License-Identifier: Apache-2.0
"""Raw records to columns, all records of a chunk at once; no loop runs over records.

The wire layout is taken from `core.record.RECORD`, so a change there is a change here. A record that
`TapRecord.decode` would refuse, or whose kind is unknown, is kept as a row with `decoded` 0.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from citycard.clearing.rules import TacChecker, TacTuple
from citycard.clearing.shards import DIGITS
from citycard.core.calendar import Calendar
from citycard.core.layout import Layout
from citycard.core.record import RECORD, RECORD_VERSION, Kind
from citycard.keys.tac import TacColumns, TacVerifier

Array = NDArray[Any]

TEXT_FIELDS: Final = ("issuer", "pan", "acquirer", "terminal")
MONEY_FIELDS: Final = (
    "balance_before_fen",
    "amount_fen",
    "list_fen",
    "concession_fen",
    "transfer_fen",
    "surcharge_fen",
)
SMALL_FIELDS: Final = (
    "kind",
    "service",
    "txn",
    "card_class",
    "tariff_version",
    "flags",
    "counter",
    "line",
    "station",
    "entry_line",
    "entry_station",
)

# Columns of decoded taps. Numbers that are added up are 64 bit.
TAPS: Final = pa.schema(
    [
        ("batch_no", pa.int64()),
        ("position", pa.int64()),
        ("decoded", pa.bool_()),
        ("tac_ok", pa.bool_()),
        ("terminal_id", pa.int64()),
        ("card", pa.int64()),  # the card's number as engines compare it quickest
        ("sequence", pa.int64()),
        ("fingerprint", pa.int64()),
        ("tapped_at", pa.timestamp("us")),
        ("business_date", pa.date32()),
        ("entry_at", pa.timestamp("us")),
        ("hotlist_version", pa.int64()),
        *[(name, pa.string()) for name in TEXT_FIELDS],
        *[(name, pa.int32()) for name in SMALL_FIELDS],
        *[(name, pa.int64()) for name in MONEY_FIELDS],
    ]
)

UINTS: Final = {1: "u1", 2: ">u2", 4: ">u4"}
HEX_PAIRS: Final = np.array([b"%02x" % value for value in range(256)], "S2").view("<u2")
MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # odd: multiplying loses nothing
HALF: Final = np.uint64(32)
DECIMAL: Final = np.array([(byte >> 4) * 10 + (byte & 15) for byte in range(256)], "u8")
TWO_DIGITS: Final = np.array([(byte >> 4) * 10 + (byte & 15) if byte >> 4 < 10 and byte & 15 < 10 else 255
                              for byte in range(256)], "u4")  # fmt: skip
PAN_DIGITS: Final = 20
NEARLY_ALL: Final = 0.9  # picking so many records out takes longer than verifying the others in vain


def wire_dtype(layout: Layout) -> np.dtype[Any]:
    """The numpy structure of a layout: unsigned numbers as they are, everything else as bytes."""
    formats = [
        UINTS[f.size] if f.kind == "uint" and f.size in UINTS else f"({f.size},)u1" for f in layout.fields
    ]
    names = [f.name for f in layout.fields]
    offsets = [layout.offsets[name] for name in names]
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": layout.size})


WIRE: Final = wire_dtype(RECORD)


def decode(raw: bytes, batch_no: Array, position: Array, closed_at: Array, calendar: Calendar) -> Columns:
    """Columns of many records laid end to end; `closed_at` stands in where the record has no moment."""
    return Columns(np.frombuffer(raw, WIRE), batch_no, position, closed_at, calendar)


class Columns:
    """Decoded records: numpy arrays until `table` makes Arrow of them."""

    def __init__(
        self, wire: Array, batch_no: Array, position: Array, closed_at: Array, calendar: Calendar
    ) -> None:
        self.wire = wire
        self.batch_no = batch_no
        self.position = position
        tapped, tapped_valid, tapped_empty = moments(wire["tapped_at"])
        entry, entry_valid, entry_empty = moments(wire["entry_at"])
        kinds = np.isin(wire["kind"], [int(kind) for kind in Kind])
        self.decoded = (
            (wire["version"] == RECORD_VERSION) & kinds & tapped_valid & ~tapped_empty & entry_valid
        )
        self.tapped_at = np.where(tapped_valid & ~tapped_empty, tapped, closed_at)
        self.entry_at = np.where(entry_empty | ~entry_valid, np.datetime64("NaT", "s"), entry)
        cut_off = calendar.cut_off
        shift = np.timedelta64(cut_off.hour * 3600 + cut_off.minute * 60 + cut_off.second, "s")
        self.business_date = (self.tapped_at - shift).astype("datetime64[D]")
        self.pan = hex_text(wire["pan"])

    def __len__(self) -> int:
        return len(self.wire)

    def tac_rows(self) -> list[TacTuple]:
        """What the TAC checker asks for, one tuple per decoded record, in order."""
        wire = self.wire[self.decoded]
        load = wire["kind"] == Kind.LOAD
        before, amount = wire["balance_before_fen"].astype("i8"), wire["amount_fen"].astype("i8")
        after = np.where(load, before + amount, before - amount)
        columns = (
            _items(wire["issuer"]),
            self.pan[self.decoded].astype("U20").tolist(),
            *(wire[name].tolist() for name in ("key_version", "algorithm", "kind", "txn", "amount_fen")),
            _items(wire["terminal"]),
            wire["terminal_txn"].tolist(),
            _items(wire["tapped_at"]),
            wire["counter"].tolist(),
            after.tolist(),
            _items(wire["tac"]),
        )
        return list(zip(*columns, strict=True))

    def verdicts(self, check: TacChecker) -> Array:
        """Whether the TAC of each decoded record is right: by columns where the checker knows them."""
        if isinstance(check, TacVerifier):
            return check.verify(TacColumns.of_wire(self.wire[self.decoded]))
        return np.asarray(check(self.tac_rows()), bool)

    def verified(self, check: TacChecker | Array) -> Array:
        """Which records decoded and carry the TAC their card makes; an array says it already."""
        if isinstance(check, np.ndarray):
            return check
        if isinstance(check, TacVerifier) and self.decoded.sum() > NEARLY_ALL * len(self):
            found: Array = check.verify(TacColumns.of_wire(self.wire)) & self.decoded
            return found
        tac_ok = np.zeros(len(self.wire), bool)
        if self.decoded.any():
            tac_ok[self.decoded] = self.verdicts(check)
        return tac_ok

    def _names(self, check: TacChecker | Array) -> dict[str, Any]:
        """What tells one delivery of a record from another."""
        return {
            "batch_no": self.batch_no.astype("i8"),
            "position": self.position.astype("i8"),
            "decoded": self.decoded,
            "tac_ok": self.verified(check),
            "terminal_id": number(self.wire["terminal"]),
            "sequence": self.wire["sequence"].astype("i8"),
            "fingerprint": fingerprint(self.wire),
        }

    def names(self, check: TacChecker, schema: pa.Schema) -> pa.Table:
        """Only the columns deliveries are told apart by, in the order of a schema."""
        columns = self._names(check)
        return pa.Table.from_arrays([_arrow(columns[f.name], f.type) for f in schema], schema=schema)

    def table(self, check: TacChecker | Array) -> pa.Table:
        """The columns of `TAPS`, TACs verified."""
        wire = self.wire
        columns: dict[str, Any] = {
            **self._names(check),
            "card": card_number(wire["pan"]),
            "tapped_at": self.tapped_at.astype("datetime64[us]"),
            "business_date": self.business_date,
            "entry_at": self.entry_at.astype("datetime64[us]"),
            "hotlist_version": wire["hotlist_version"].astype("i8"),
            **{name: _text(hex_text(wire[name])) for name in TEXT_FIELDS if name != "pan"},
            "pan": _text(self.pan),
            **{name: wire[name].astype("i4") for name in SMALL_FIELDS},
            **{name: wire[name].astype("i8") for name in MONEY_FIELDS},
        }
        arrays = [_arrow(columns[f.name], f.type) for f in TAPS]
        return pa.Table.from_arrays(arrays, schema=TAPS)


def moments(bcd: Array) -> tuple[Array, Array, Array]:
    """Seven BCD bytes each -> (datetime64[s], is it a date and time, is it all zeros = none).

    Days come from a table made for the few there are, hours to seconds from one of all bytes.
    """
    dates, which = distinct_words(np.ascontiguousarray(bcd[:, :4]).view(">u4").reshape(-1))
    midnight, is_date = days(dates)
    hour, minute, second = (TWO_DIGITS[bcd[:, i]] for i in (4, 5, 6))
    valid = is_date[which] & (hour <= 23) & (minute <= 59) & (second <= 59)
    at = midnight[which] + (hour * 3600 + minute * 60 + second).astype("i8")
    at = np.where(valid, at, 0).view("datetime64[s]")
    empty: Array = (dates[which] == 0) & ~np.any(bcd[:, 4:], axis=1)
    return at, valid | empty, empty


def distinct_words(words: Array) -> tuple[Array, Array]:
    """(the distinct numbers, which of them each is): neighbours that are alike are looked at once."""
    new = np.ones(len(words), bool)
    new[1:] = words[1:] != words[:-1]
    found, which = np.unique(words[new], return_inverse=True)
    return found, which[np.cumsum(new) - 1]


def days(bcd: Array) -> tuple[Array, Array]:
    """Dates of eight digits each -> (seconds since 1970 at midnight, is it a date)."""
    parts = bcd.astype(">u4").view("u1").reshape(len(bcd), 4)
    value = TWO_DIGITS[parts].astype("i8")
    year, month, day = value[:, 0] * 100 + value[:, 1], value[:, 2], value[:, 3]
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    length = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype("i8")
    valid = (value <= 99).all(axis=1) & (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    return (months.astype("datetime64[D]").astype("i8") + day - 1) * 86400, valid & (day <= length)


def fingerprint(wire: Array) -> Array:
    """64 bits of each record's content: equal bytes give equal numbers, to tell a repeat from a conflict."""
    words = np.ascontiguousarray(wire).view("<u8").reshape(len(wire), wire.dtype.itemsize // 8)
    total = np.zeros(len(wire), "u8")
    for column in range(words.shape[1]):
        total = (total ^ words[:, column]) * MIX
        total ^= total >> HALF
    return total.view("i8")


def hex_text(raw: Array) -> Array:
    """(n, k) bytes -> n byte strings of 2k lower-case hex digits."""
    pairs = np.take(HEX_PAIRS, np.ascontiguousarray(raw), mode="clip")
    return pairs.view(f"S{2 * raw.shape[1]}").reshape(-1)


def card_number(pan: Array) -> Array:
    """(n, 10) bytes of card numbers -> n 64-bit numbers, different for all numbers there can be.

    Twenty decimal digits the first of which is 0 fit (facts 4.2); others never verify.
    """
    value = np.zeros(len(pan), "u8")
    for column in range(pan.shape[1]):
        value = value * np.uint64(100) + DECIMAL[pan[:, column]]
    return value.view("i8")


def card_numbers(pans: pa.ChunkedArray) -> Array:
    """The same of card numbers as text."""
    try:
        found: Array = pc.cast(pans, pa.uint64()).to_numpy().view("i8")
        return found
    except pa.ArrowInvalid:  # one of them is no number below 2**64
        raw = [text.encode().rjust(PAN_DIGITS, b"0")[:PAN_DIGITS] for text in pans.to_pylist()]
        digits = np.frombuffer(b"".join(raw), "u1").reshape(len(raw), PAN_DIGITS) & 15
        return card_number(digits[:, 0::2] << 4 | digits[:, 1::2])


def hex_codes(pans: pa.ChunkedArray) -> Array:
    """Card numbers as text -> the code each is dealt out by; see `shards.codes`."""
    digits = pc.utf8_slice_codeunits(pans, DIGITS.start, DIGITS.stop)
    found = pc.unique(digits)
    numbers = np.array([_half_bytes(text) for text in found.to_pylist()], "u2")
    places: Array = pc.index_in(digits, found).to_numpy()
    return np.take(numbers, places) if len(found) else numbers


def _half_bytes(text: str) -> int:
    try:
        return int(text, 16) if len(text) == DIGITS.stop - DIGITS.start else 0
    except ValueError:
        return 0


def moment64(at: datetime) -> np.datetime64:
    """A naive moment as numpy keeps it."""
    return np.datetime64(at, "s")


def number(raw: Array) -> Array:
    """(n, up to 8) bytes -> n 64-bit numbers."""
    wide = np.zeros((len(raw), 8), "u1")
    wide[:, 8 - raw.shape[1] :] = raw
    return wide.view(">i8").reshape(-1).astype("i8")


def _items(raw: Array) -> list[bytes]:
    """(n, k) bytes -> n bytes objects."""
    width = raw.shape[1]
    packed = np.ascontiguousarray(raw).tobytes()
    return [packed[at : at + width] for at in range(0, len(packed), width)]


def text_of(raw: Array) -> pa.Array:
    """(n, k) bytes of ASCII -> n texts."""
    return _text(np.ascontiguousarray(raw).view(f"S{raw.shape[1]}").reshape(-1))


def _text(fixed: Array) -> pa.Array:
    """Byte strings of one length -> Arrow text, without a copy of each."""
    width = fixed.dtype.itemsize
    offsets = np.arange(len(fixed) + 1, dtype="i4") * width
    return pa.StringArray.from_buffers(len(fixed), pa.py_buffer(offsets), pa.py_buffer(fixed))


def _arrow(column: Any, kind: pa.DataType) -> pa.Array:
    return column if isinstance(column, pa.Array) else pa.array(column, kind)
