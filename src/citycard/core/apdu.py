# SPDX-License-Identifier: Apache-2.0
"""Command and response APDUs (ISO/IEC 7816-3/4), short and extended, and the words behind status words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

SHORT_MAX: Final = 256
EXTENDED_MAX: Final = 65_536


class SW(IntEnum):
    """Status words, as in card facts section 1.5."""

    OK = 0x9000
    DATA_MAYBE_CORRUPT = 0x6281
    FILE_INVALID = 0x6283
    UNCHANGED = 0x6400
    MEMORY_FAILURE = 0x6581
    WRONG_LENGTH = 0x6700
    CANNOT_PROCESS = 0x6900
    WRONG_STATE = 0x6901
    WRONG_FILE_TYPE = 0x6981
    SECURITY_STATUS = 0x6982
    KEY_BLOCKED = 0x6983
    NO_REFERENCE_DATA = 0x6984
    CONDITIONS_OF_USE = 0x6985
    NO_CURRENT_FILE = 0x6986
    SM_MISSING = 0x6987
    SM_INCORRECT = 0x6988
    WRONG_DATA = 0x6A80
    NOT_SUPPORTED = 0x6A81
    FILE_NOT_FOUND = 0x6A82
    RECORD_NOT_FOUND = 0x6A83
    NO_SPACE = 0x6A84
    WRONG_P1P2 = 0x6A86
    KEY_NOT_FOUND = 0x6A88
    WRONG_OFFSET = 0x6B00
    WRONG_INS = 0x6D00
    WRONG_CLA = 0x6E00
    UNKNOWN_ERROR = 0x6F00
    MAC_ERROR = 0x9302
    PERMANENTLY_BLOCKED = 0x9303
    INSUFFICIENT_BALANCE = 0x9401
    COUNTER_AT_MAX = 0x9402
    KEY_INDEX_NOT_FOUND = 0x9403
    MAC_NOT_AVAILABLE = 0x9406
    CAPP_LOCKED = 0x9407
    GREY_LOCKED = 0x9408


class ApduError(ValueError):
    """The bytes are no APDU: the peer's fault, not ours."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command APDU; `le` is None when no answer is expected, 256 or 65536 for "all there is"."""

    cla: int
    ins: int
    p1: int = 0
    p2: int = 0
    data: bytes = b""
    le: int | None = None

    @property
    def header(self) -> bytes:
        """CLA INS P1 P2."""
        return bytes((self.cla, self.ins, self.p1, self.p2))

    def encode(self) -> bytes:
        """The wire form: short whenever it fits, extended otherwise (7816-3, 12.1.3)."""
        if len(self.data) > 255 or (self.le is not None and self.le > SHORT_MAX):
            return self._encode_extended()
        body = bytes((len(self.data),)) + self.data if self.data else b""
        tail = b"" if self.le is None else bytes((self.le & 0xFF,))
        return self.header + body + tail

    def _encode_extended(self) -> bytes:
        body = b"\x00" + len(self.data).to_bytes(2, "big") + self.data if self.data else b""
        if self.le is None:
            return self.header + body
        lead = b"" if self.data else b"\x00"
        return self.header + body + lead + (self.le & 0xFFFF).to_bytes(2, "big")

    @classmethod
    def decode(cls, raw: bytes) -> Command:
        """Parse cases 1 to 4, short and extended; `ApduError` when lengths do not add up."""
        if len(raw) < 4:
            raise ApduError(f"a command has at least 4 bytes, this has {len(raw)}")
        cla, ins, p1, p2 = raw[:4]
        body = raw[4:]
        if not body:
            return cls(cla, ins, p1, p2)
        if len(body) == 1:
            return cls(cla, ins, p1, p2, le=body[0] or SHORT_MAX)
        if body[0] == 0 and len(body) > 2:
            data, le = _extended_body(body)
        else:
            data, le = _short_body(body)
        return cls(cla, ins, p1, p2, data, le)


def _short_body(body: bytes) -> tuple[bytes, int | None]:
    lc, rest = body[0], body[1:]
    if lc and len(rest) == lc:
        return rest, None
    if lc and len(rest) == lc + 1:
        return rest[:lc], rest[lc] or SHORT_MAX
    raise ApduError(f"Lc says {lc} bytes, {len(rest)} follow")


def _extended_body(body: bytes) -> tuple[bytes, int | None]:
    length, rest = int.from_bytes(body[1:3], "big"), body[3:]
    if not rest:
        return b"", length or EXTENDED_MAX
    if length and len(rest) == length:
        return rest, None
    if length and len(rest) == length + 2:
        return rest[:length], int.from_bytes(rest[length:], "big") or EXTENDED_MAX
    raise ApduError(f"extended Lc says {length} bytes, {len(rest)} follow")


@dataclass(frozen=True, slots=True)
class Response:
    """One response APDU: data and status word."""

    data: bytes
    sw: int

    @property
    def ok(self) -> bool:
        """Whether the status word is 9000."""
        return self.sw == SW.OK

    def encode(self) -> bytes:
        """Data, then SW1 SW2."""
        return self.data + self.sw.to_bytes(2, "big")

    @classmethod
    def decode(cls, raw: bytes) -> Response:
        """Parse; `ApduError` when there is no status word."""
        if len(raw) < 2:
            raise ApduError(f"a response has at least 2 bytes, this has {len(raw)}")
        return cls(raw[:-2], int.from_bytes(raw[-2:], "big"))
