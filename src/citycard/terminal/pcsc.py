# SPDX-License-Identifier: Apache-2.0
"""Real readers: a link to the card in any PC/SC reader, virtual or of metal, through pyscard.

pyscard is the extra `pcsc` and is imported here only, when a reader is asked for. A reader is named by its
name or an unambiguous part of it. The card is taken exclusively: nobody may speak between INITIALIZE and
DEBIT. A card that leaves raises `CardGone`, whichever of the many PC/SC words says so; what keeps a person
from ever reaching a card is a `Problem`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from citycard.core.dialogue.exchange import CardGone
from citycard.core.problem import Problem, declare
from citycard.terminal.transport import exchange

POLL_MS: Final = 500  # how often a wait for a card looks up, so that Ctrl-C is heard
RETRY_S: Final = 0.05
NO_READERS: Final = 0x8010002E
NO_SERVICE: Final = frozenset({0x8010001D, 0x8010001E})  # pcscd is not there, was stopped
SHARING: Final = 0x8010000B

PCSC_MISSING = declare(
    "PCSC_MISSING",
    "Card readers need pyscard, which is not installed. Install citycard with its extra `pcsc`: "
    "pip install 'citycard[pcsc]'.",
    "使用读卡器需要 pyscard，当前未安装。请安装带 pcsc 扩展的 citycard：pip install 'citycard[pcsc]'。",
)
PCSC_SERVICE = declare(
    "PCSC_SERVICE",
    "The card reader service does not answer ({why}). Install and start pcscd, then try again.",
    "读卡器服务没有响应（{why}）。请安装并启动 pcscd 后重试。",
)
READER_NONE = declare(
    "READER_NONE",
    "There is no card reader. Plug one in, or start a virtual card with `citycard card emulate`.",
    "没有找到读卡器。请接上读卡器，或用 `citycard card emulate` 启动虚拟卡。",
)
READER_UNKNOWN = declare(
    "READER_UNKNOWN",
    "No reader is called {name!r}. There are: {readers}.",
    "没有名为 {name!r} 的读卡器。现有：{readers}。",
)
READER_AMBIGUOUS = declare(
    "READER_AMBIGUOUS",
    "{name!r} fits more than one reader: {readers}. Give more of the name with --reader.",
    "{name!r} 对应多个读卡器：{readers}。请用 --reader 给出更完整的名称。",
)
READER_UNNAMED = declare(
    "READER_UNNAMED",
    "There are {count} readers: {readers}. Say which one with --reader.",
    "有 {count} 个读卡器：{readers}。请用 --reader 指定。",
)
READER_BUSY = declare(
    "READER_BUSY",
    "Another program is using the card in {reader}. Close it and try again.",
    "另一个程序正在使用 {reader} 中的卡片，请关闭后重试。",
)
CARD_ABSENT = declare(
    "CARD_ABSENT",
    "There is no card in {reader}. Present one and try again.",
    "{reader} 中没有卡片，请放上卡片后重试。",
)
CARD_MUTE = declare(
    "CARD_MUTE",
    "The card in {reader} does not answer ({why}). Present it again; if it stays mute, it is broken or of "
    "another kind.",
    "{reader} 中的卡片没有应答（{why}）。请重新放卡；如仍无应答，卡片可能损坏或类型不符。",
)


@dataclass(frozen=True, slots=True)
class ReaderInfo:
    """A reader and what lies in it: `atr` is empty without a card."""

    name: str
    present: bool
    in_use: bool
    atr: bytes


def readers() -> list[ReaderInfo]:
    """All readers that pcscd knows. PCSC_MISSING, PCSC_SERVICE."""
    with _Context() as pcsc:
        return pcsc.look(pcsc.names())


def find_reader(wanted: str, names: Sequence[str]) -> str:
    """The reader meant by a name or a part of it, in any case; empty means the only one."""
    if not names:
        raise READER_NONE()
    folded = wanted.casefold()
    exact = [name for name in names if name.casefold() == folded]
    found = exact or [name for name in names if folded in name.casefold()]
    if not found:
        raise READER_UNKNOWN(name=wanted, readers=", ".join(names))
    if len(found) > 1 and not wanted:
        raise READER_UNNAMED(count=len(found), readers=", ".join(found))
    if len(found) > 1:
        raise READER_AMBIGUOUS(name=wanted, readers=", ".join(found))
    return found[0]


def choose_reader(wanted: str, infos: Sequence[ReaderInfo]) -> str:
    """As `find_reader`; without a name, the only reader that holds a card."""
    holding = [info.name for info in infos if info.present]
    if not wanted and len(infos) > 1 and len(holding) == 1:
        return holding[0]
    return find_reader(wanted, [info.name for info in infos])


class PcscLink:
    """A link to the card in a reader. READER_*, CARD_ABSENT and CARD_MUTE come from `open` and `wait`."""

    def __init__(self, reader: str = "", seconds: float = 0) -> None:
        """Without a name it waits so many seconds for the one reader that gets a card."""
        self._handle: Any = None
        self._protocol = 0
        self._pcsc = _Context().open()
        try:
            self.reader = self._choose(reader, time.monotonic() + seconds)
        except BaseException:
            self.close()
            raise

    def _choose(self, reader: str, until: float) -> str:
        while True:
            try:
                return choose_reader(reader, self._pcsc.look(self._pcsc.names()))
            except Problem as problem:
                if problem.declared is not READER_UNNAMED or time.monotonic() >= until:
                    raise
            time.sleep(RETRY_S)

    def __enter__(self) -> PcscLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of card and reader; the card keeps its power and its state."""
        self._drop(self._pcsc.api.SCARD_LEAVE_CARD)
        self._pcsc.close()

    def wait(self, seconds: float) -> None:
        """Wait for a card that answers; CARD_ABSENT when none comes in time.

        pcscd looks every 0.4 s: for so long it may still believe in a card that was just taken away.
        """
        until = time.monotonic() + seconds
        while self._pcsc.wait(self.reader, until - time.monotonic()):
            try:
                self.connect()
            except CardGone:
                if time.monotonic() >= until:
                    break
                time.sleep(RETRY_S)
            else:
                return
        raise CARD_ABSENT(reader=self.reader)

    def connect(self) -> bytes:
        """Power the card anew; its ATR. `CardGone` without a card, READER_BUSY, CARD_MUTE, PCSC_SERVICE."""
        api = self._pcsc.api
        if self._handle is None or self._reset() != 0:
            self._drop(api.SCARD_LEAVE_CARD)
            code, handle, _ = api.SCardConnect(
                self._pcsc.handle, self.reader, api.SCARD_SHARE_EXCLUSIVE, self._protocols
            )
            if code != 0:
                self._refuse(code)
            self._handle = handle
            code = self._reset()  # another program may have left it in any state
            if code != 0:
                self._refuse(code)
        code, _, _, _, atr = api.SCardStatus(self._handle)
        if code != 0:
            self._refuse(code)
        return bytes(atr)

    def __call__(self, command: bytes) -> bytes:
        return exchange(self.transmit, command, self.t0)

    @property
    def t0(self) -> bool:
        """Whether the card speaks T=0, so that commands are cut and answers fetched."""
        return bool(self._protocol == self._pcsc.api.SCARD_PROTOCOL_T0)

    @property
    def _protocols(self) -> int:
        return int(self._pcsc.api.SCARD_PROTOCOL_T0 | self._pcsc.api.SCARD_PROTOCOL_T1)

    def _reset(self) -> int:
        """Reset the connected card; PC/SC's word for how that went, 0 for well."""
        api = self._pcsc.api
        code, self._protocol = api.SCardReconnect(
            self._handle, api.SCARD_SHARE_EXCLUSIVE, self._protocols, api.SCARD_RESET_CARD
        )
        return int(code)

    def transmit(self, command: bytes) -> bytes:
        """One exchange as it is, nothing fetched and nothing repeated; `CardGone`."""
        if self._handle is None:
            raise CardGone("the card has left the field")
        code, answer = self._pcsc.api.SCardTransmit(self._handle, self._protocol, list(command))
        if code != 0 or len(answer) < 2:  # some drivers call no answer at all a success
            self._drop(self._pcsc.api.SCARD_RESET_CARD)
            why = self._pcsc.words(code) if code else "no answer"
            raise CardGone(f"the card left {self.reader}: {why}")
        return bytes(answer)

    def _drop(self, disposition: int) -> None:
        if self._handle is not None:
            self._pcsc.api.SCardDisconnect(self._handle, disposition)
            self._handle = None

    def _refuse(self, code: int) -> None:
        """Why no card could be reached: a `Problem`, or `CardGone` when there just is none."""
        api, code = self._pcsc.api, code & 0xFFFF_FFFF
        why = self._pcsc.words(code)
        self._drop(api.SCARD_LEAVE_CARD)
        if code in NO_SERVICE:
            raise PCSC_SERVICE(why=why)
        if code == SHARING:
            raise READER_BUSY(reader=self.reader)
        mute = (api.SCARD_W_UNRESPONSIVE_CARD, api.SCARD_W_UNSUPPORTED_CARD)
        if code in {one & 0xFFFF_FFFF for one in mute}:
            raise CARD_MUTE(reader=self.reader, why=why)
        raise CardGone(f"there is no card in {self.reader}: {why}")


class _Context:
    """A connection to pcscd, with the calls that need no card."""

    def __init__(self) -> None:
        self.api = _pyscard()
        self.handle: Any = None

    def __enter__(self) -> _Context:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> _Context:
        """Reach pcscd; PCSC_SERVICE."""
        code, handle = self.api.SCardEstablishContext(self.api.SCARD_SCOPE_USER)
        if code != 0:
            raise PCSC_SERVICE(why=self.words(code))
        self.handle = handle
        return self

    def close(self) -> None:
        """Let go."""
        if self.handle is not None:
            self.api.SCardReleaseContext(self.handle)
            self.handle = None

    def names(self) -> list[str]:
        """Names of all readers."""
        code, names = self.api.SCardListReaders(self.handle, [])
        if code & 0xFFFF_FFFF == NO_READERS:
            return []
        if code != 0:
            raise PCSC_SERVICE(why=self.words(code))
        return sorted(names)

    def look(self, names: Sequence[str]) -> list[ReaderInfo]:
        """What is in these readers now."""
        if not names:
            return []
        api = self.api
        asked = [(name, api.SCARD_STATE_UNAWARE) for name in names]
        code, states = api.SCardGetStatusChange(self.handle, 0, asked)
        if code != 0:
            raise PCSC_SERVICE(why=self.words(code))
        return [
            ReaderInfo(
                name,
                bool(state & api.SCARD_STATE_PRESENT),
                bool(state & (api.SCARD_STATE_INUSE | api.SCARD_STATE_EXCLUSIVE)),
                bytes(atr),
            )
            for name, state, atr in states
        ]

    def wait(self, reader: str, seconds: float) -> bool:
        """Wait until a card is there; False when the time is up."""
        api, until = self.api, time.monotonic() + seconds
        known = api.SCARD_STATE_UNAWARE
        while True:
            left_ms = max(0, int((until - time.monotonic()) * 1000))
            asked = [(reader, known)]
            code, states = api.SCardGetStatusChange(self.handle, min(POLL_MS, left_ms), asked)
            if code == 0:
                known = states[0][1] & ~api.SCARD_STATE_CHANGED
                if known & api.SCARD_STATE_PRESENT:
                    return True
            elif code & 0xFFFF_FFFF in NO_SERVICE:
                raise PCSC_SERVICE(why=self.words(code))
            if left_ms == 0:
                return False

    def words(self, code: int) -> str:
        """What PC/SC calls this outcome."""
        return str(self.api.SCardGetErrorMessage(code)).strip().rstrip(".")


def _pyscard() -> ModuleType:
    try:
        from smartcard import scard
    except ImportError:
        raise PCSC_MISSING() from None
    return scard  # type: ignore[no-any-return]
