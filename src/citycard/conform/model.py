# SPDX-License-Identifier: Apache-2.0
"""What the conformance kit is made of: cases, what they need, how sure their source is, and verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from citycard.core.trace import Words

if TYPE_CHECKING:
    from citycard.conform.bench import Bench


Text = Words  # a sentence for people, in English and Chinese


class Verdict(StrEnum):
    """What a case says of a card or terminal."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"  # it ran, and its source or its samples do not carry a verdict
    NOT_RUN = "not run"


VERDICTS: Final[dict[Verdict, Text]] = {
    Verdict.PASS: Text("pass", "通过"),
    Verdict.FAIL: Text("fail", "不通过"),
    Verdict.INCONCLUSIVE: Text("inconclusive", "无法判定"),
    Verdict.NOT_RUN: Text("not run", "未执行"),
}


class Confidence(Enum):
    """How sure we are of the clause: its original was not always to be had (docs/standards.md)."""

    SOURCES = Text("two or more independent sources agree", "两个以上独立来源一致")
    ONE = Text("one source", "单一来源")
    COMPUTED = Text("published values recomputed", "已用公开数值复算")
    ASSUMED = Text("assumed or conflicting: a deviation is to be discussed", "推定或来源不一致，偏差需商榷")


class Need(StrEnum):
    """What a case needs beyond a card in the field."""

    WRITE = "write"  # changes what is on the card
    KEYS = "keys"  # the card's keys, through the vault
    LOCK = "lock"  # may leave the card or a key locked: an expendable card
    PREPARED = "prepared"  # a card prepared in a state that commands cannot reach in a day
    CUT = "cut"  # a field that can be cut in the middle of a command


NEEDS: Final[dict[Need, Text]] = {
    Need.WRITE: Text("it writes to the card: allow it with --allow-write", "会写卡：请用 --allow-write 允许"),
    Need.KEYS: Text(
        "it needs the card's keys: name the vault with --keys", "需要卡片密钥：请用 --keys 指定密钥库"
    ),
    Need.LOCK: Text(
        "it may lock the card for ever: allow it on an expendable card with --allow-lock",
        "可能永久锁卡：仅可对消耗样卡用 --allow-lock 允许",
    ),
    Need.PREPARED: Text(
        "it needs a specimen prepared near the end of its counters", "需要计数器接近上限的专用样卡"
    ),
    Need.CUT: Text(
        "it needs a reader that cuts the field inside a command", "需要能在指令执行中切断场强的读写器"
    ),
}


class Ended(Exception):
    """A case has its verdict; `text` says why."""

    verdict = Verdict.INCONCLUSIVE

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.text = Text(en, zh)


class Failed(Ended):
    """The card or terminal does something else than the clause says."""

    verdict = Verdict.FAIL


class Undecided(Ended):
    """What was observed does not carry a verdict."""


class NotRun(Ended):
    """The case could not be carried out here."""

    verdict = Verdict.NOT_RUN


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a case: what it does on the bench, and what it expects in words (None: it prepares)."""

    run: Callable[[Bench], None]
    expects: Text | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One numbered test case; `selects` False when it does not start with the purse selected."""

    id: str
    title: Text
    clause: str
    confidence: Confidence
    steps: tuple[Step, ...]
    needs: frozenset[Need] = frozenset()
    selects: bool = True
    ruins: bool = False  # the card is of no use afterwards
    prepared: tuple[int, int] | None = None  # offline and online counter of the card it needs

    @property
    def group(self) -> str:
        """The middle of the id, such as `STR`."""
        return self.id.split("-")[1]

    @property
    def expectations(self) -> tuple[Text, ...]:
        """What the steps expect, in order."""
        return tuple(step.expects for step in self.steps if step.expects is not None)


class Exchanged(NamedTuple):
    """One exchange as it passed; the answer is None when the card had left."""

    command: bytes
    answer: bytes | None
    micros: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a case found."""

    case: Case
    verdict: Verdict
    why: Text
    observed: tuple[Text, ...] = ()
    trace: tuple[Exchanged, ...] = ()
    seconds: float = 0.0
