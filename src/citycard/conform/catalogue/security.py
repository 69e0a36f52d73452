# SPDX-License-Identifier: Apache-2.0
"""SEC: authentication and secure messaging, without ever using up a key's tries (card facts 1.1, 1.7)."""

from __future__ import annotations

from typing import Final

from citycard.conform.bench import Bench
from citycard.conform.catalogue.declare import ASSUMED, COMPUTED, ONE, PBOC, SOURCES, WRITES, case
from citycard.conform.model import Failed, Step, Text
from citycard.conform.steps import ANY_REFUSAL, do, prepare, quiet, select, send
from citycard.conform.steps_purse import reset
from citycard.core.apdu import Command, Response
from citycard.core.crypto import xor

READ_16: Final = "00B0960037"
TRIES_TOLD: Final = 0x63C0


def challenge(bench: Bench, size: int = 4) -> bytes:
    """GET CHALLENGE; `Failed` when it gives another number of bytes."""
    given = bench.ok(f"00840000{size:02X}")
    if len(given) != size:
        raise Failed(
            f"a challenge of {len(given)} bytes, expected {size}", f"随机数 {len(given)} 字节，应为 {size}"
        )
    return given


def secured(bench: Bench, head: str, data: bytes = b"", tamper: str = "", size: int = 4) -> bytes:
    """A command with a MAC over a fresh challenge; tampered: wrong `mac`, other `data` or `header`."""
    given = challenge(bench, size)
    start = bytes.fromhex(head) + bytes((len(data) + 4,))
    signed = start + data
    if tamper == "header":
        signed = start[:3] + bytes((start[3] ^ 1,)) + start[4:] + data
    elif tamper == "data":
        signed = start + xor(data, bytes(len(data) - 1) + b"\x01")
    mac = bench.lent().message_mac(signed, given, bench.key_version, bench.algorithm)
    return start + data + (xor(mac, b"\x01\x00\x00\x00") if tamper == "mac" else mac)


def authentication(bench: Bench, wrong: bool = False, size: int = 8) -> bytes:
    """EXTERNAL AUTHENTICATE under the control key over a fresh challenge."""
    proof = bench.lent().authentication(challenge(bench, size), bench.key_version, bench.algorithm)
    return Command(0x00, 0x82, 0, 0, proof[:-1] + bytes((proof[-1] ^ wrong,))).encode()


def authenticate(sw: int | None = 0x9000, wrong: bool = False, size: int = 8, keep: str = "") -> Step:
    """Authenticate; `sw` None expects 63Cx, and keeps how many tries are left."""
    words = "63Cx" if sw is None else f"{sw:04X}"

    def run(bench: Bench) -> None:
        answer = bench.send(authentication(bench, wrong, size))
        good = answer.sw & 0xFFF0 == TRIES_TOLD if sw is None else answer.sw == sw
        _expect(good, answer, words)
        if keep:
            bench.values[keep] = bytes((answer.sw & 0xF,))

    how = Text("a wrong cryptogram", "错误密文") if wrong else Text("the right cryptogram", "正确密文")
    return Step(run, Text(f"{how.en} answers {words}", f"{how.zh}应答 {words}"))


def protected(
    head: str, data: str, sw: int | tuple[int, ...] = 0x9000, tamper: str = "", size: int = 4
) -> Step:
    """A command under the maintenance key; `data` names a kept value."""
    allowed = sw if isinstance(sw, tuple) else (sw,)
    words = " / ".join("≠ 9000" if one == ANY_REFUSAL else f"{one:04X}" for one in allowed)

    def run(bench: Bench) -> None:
        answer = bench.send(secured(bench, head, bytes(bench.values[data]), tamper, size))
        _expect(answer.sw in allowed or (ANY_REFUSAL in allowed and not answer.ok), answer, words)

    en = f"{head[:4]} under MAC" + (f", tampered: {tamper}," if tamper else "") + f" answers {words}"
    zh = f"{head[:4]} 安全报文" + (f"（篡改：{tamper}）" if tamper else "") + f"应答 {words}"
    return Step(run, Text(en, zh))


def _expect(good: bool, answer: Response, words: str) -> None:
    if not good:
        raise Failed(
            f"status word {answer.sw:04X}, expected {words}", f"状态字 {answer.sw:04X}，应为 {words}"
        )


def holder() -> Step:
    """Prepare: file 0016 as `file`, and with its last byte changed as `other`; one byte as `byte`."""

    def run(bench: Bench) -> None:
        file = bench.ok(READ_16)
        if not file:
            raise Failed("file 0016 is empty", "0016 文件为空")
        bench.values |= {"file": file, "other": xor(file, bytes(len(file) - 1) + b"\x01"), "byte": b"\x00"}

    return Step(run)


def restored() -> Step:
    """Prepare: file 0016 as it was, which also gives the maintenance key its tries back."""
    return prepare(lambda b: _ignore(b.send(secured(b, "04D69600", bytes(b.values["file"])))))


def _ignore(_: object) -> None:
    return None


def _holds(name: str) -> Step:
    return send(READ_16, data="{" + name + "}")


def _fewer(bench: Bench) -> None:
    if bench.values["first"] != bench.values["second"]:
        raise Failed("the right cryptogram did not give the tries back", "认证成功后未恢复尝试次数")


def _reused(bench: Bench) -> None:
    command = authentication(bench)
    bench.ok(command)
    answer = bench.send(command)
    _expect(answer.sw == 0x6984, answer, "6984")


def _late(bench: Bench) -> None:
    command = authentication(bench)
    bench.send("805C030204")
    answer = bench.send(command)
    _expect(answer.sw == 0x6984, answer, "6984")


def _mac_replayed(bench: Bench) -> None:
    command = secured(bench, "04D69600", bytes(bench.values["file"]))
    bench.ok(command)
    answer = bench.send(command)
    _expect(answer.sw == 0x6984, answer, "6984")


def _mac_kept(bench: Bench) -> None:
    """A MAC made over one challenge is worth nothing under another."""
    command = secured(bench, "04D69600", bytes(bench.values["file"]))
    challenge(bench)
    answer = bench.send(command)
    _expect(answer.sw == 0x6988, answer, "6988")


def _short_proof(bench: Bench) -> None:
    challenge(bench, 8)
    answer = bench.send("0082000007 00000000000000")
    _expect(answer.sw == 0x6700, answer, "6700")


CASES: Final = (
    case(
        "SEC-001",
        ("EXTERNAL AUTHENTICATE with the control key", "控制密钥外部认证"),
        (PBOC, COMPUTED),
        authenticate(),
        needs=WRITES,
    ),
    case(
        "SEC-002",
        ("A challenge of 4 bytes is padded with 00", "4 字节随机数补 00"),
        (PBOC, COMPUTED),
        authenticate(size=4),
        needs=WRITES,
    ),
    case(
        "SEC-003",
        ("A wrong cryptogram tells the tries left", "认证失败给出剩余次数"),
        (PBOC, SOURCES),
        authenticate(None, wrong=True),
        authenticate(),
        needs=WRITES,
    ),
    case(
        "SEC-004",
        ("Success gives the tries back", "认证成功恢复尝试次数"),
        (PBOC, SOURCES),
        authenticate(None, wrong=True, keep="first"),
        authenticate(),
        authenticate(None, wrong=True, keep="second"),
        authenticate(),
        do(_fewer, "both failures leave the same number", "两次失败剩余次数相同"),
        needs=WRITES,
    ),
    case(
        "SEC-005",
        ("A challenge serves once", "随机数只能使用一次"),
        (PBOC, SOURCES),
        do(_reused, "6984 the second time", "第二次应答 6984"),
        needs=WRITES,
    ),
    case(
        "SEC-006",
        ("A challenge serves the next command only", "随机数仅对下一指令有效"),
        (PBOC, SOURCES),
        do(_late, "6984 after a command in between", "间隔指令后应答 6984"),
        needs=WRITES,
    ),
    case(
        "SEC-007",
        ("A cryptogram of another length", "认证数据长度错误"),
        (PBOC, ONE),
        do(_short_proof, "6700", "应答 6700"),
        needs=WRITES,
    ),
    case(
        "SEC-008",
        ("The control key opens plain writing", "控制密钥认证后可明文写"),
        (PBOC, ASSUMED),
        holder(),
        authenticate(),
        send("00D6960037 {other}"),
        _holds("other"),
        restored(),
        needs=WRITES,
    ),
    case(
        "SEC-009",
        ("SELECT ends the authentication", "重新选择后认证失效"),
        (PBOC, SOURCES),
        holder(),
        authenticate(),
        select(),
        send("00D6960037 {file}", 0x6982),
        needs=WRITES,
    ),
    case(
        "SEC-010",
        ("A reset ends the authentication", "复位后认证失效"),
        (PBOC, SOURCES),
        holder(),
        authenticate(),
        prepare(lambda b: reset(b)),
        send("00D6960037 {file}", 0x6982),
        needs=WRITES,
    ),
    case(
        "SEC-011",
        ("A protected write is carried out", "安全报文写生效"),
        (PBOC, COMPUTED),
        holder(),
        protected("04D69600", "other"),
        _holds("other"),
        restored(),
        _holds("file"),
        needs=WRITES,
    ),
    case(
        "SEC-012",
        ("A protected write with an 8-byte challenge", "8 字节随机数的安全报文写"),
        (PBOC, COMPUTED),
        holder(),
        protected("04D69600", "file", size=8),
        needs=WRITES,
    ),
    case(
        "SEC-013",
        ("A wrong MAC writes nothing", "MAC 错误不写入"),
        (PBOC, SOURCES),
        holder(),
        protected("04D69600", "other", 0x6988, "mac"),
        _holds("file"),
        restored(),
        needs=WRITES,
    ),
    case(
        "SEC-014",
        ("The MAC covers the header", "MAC 覆盖命令头"),
        (PBOC, COMPUTED),
        holder(),
        protected("04D69600", "other", 0x6988, "header"),
        _holds("file"),
        restored(),
        needs=WRITES,
    ),
    case(
        "SEC-015",
        ("The MAC covers the data", "MAC 覆盖数据"),
        (PBOC, COMPUTED),
        holder(),
        protected("04D69600", "other", 0x6988, "data"),
        _holds("file"),
        restored(),
        needs=WRITES,
    ),
    case(
        "SEC-016",
        ("A protected command is not to be replayed", "安全报文不可重放"),
        (PBOC, SOURCES),
        holder(),
        do(_mac_replayed, "6984 the second time", "第二次应答 6984"),
        needs=WRITES,
    ),
    case(
        "SEC-017",
        ("A MAC belongs to its challenge", "MAC 与随机数对应"),
        (PBOC, SOURCES),
        holder(),
        do(_mac_kept, "6988 under another challenge", "更换随机数后应答 6988"),
        restored(),
        needs=WRITES,
    ),
    case(
        "SEC-018",
        ("A right MAC gives the tries back", "MAC 正确恢复尝试次数"),
        (PBOC, SOURCES),
        holder(),
        *4 * (protected("04D69600", "other", 0x6988, "mac"), protected("04D69600", "file")),
        needs=WRITES,
    ),
    case(
        "SEC-019",
        ("The log cannot be written under MAC", "安全报文也不可写明细"),
        (PBOC, SOURCES),
        holder(),
        prepare(lambda b: b.values.__setitem__("blank", bytes(23))),
        protected("04E200C0", "blank", ANY_REFUSAL),
        needs=WRITES,
    ),
    case(
        "SEC-020",
        ("A protected write beyond the end is refused", "安全报文写超出文件长度"),
        (PBOC, ONE),
        holder(),
        protected("04D69637", "byte", ANY_REFUSAL),
        quiet(READ_16),
        restored(),
        needs=WRITES,
    ),
)
