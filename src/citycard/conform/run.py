# SPDX-License-Identifier: Apache-2.0
"""Runs cases on a stand: what may run does, each on a card powered anew, and every case gets its verdict.

A card may answer anything: what cannot be taken apart fails the case. Any other exception is a defect of the
kit and goes through; so does the guard's Problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from citycard.conform.bench import TERMINAL, Bench
from citycard.conform.guard import CONFORM_LAST_TRY, Guard
from citycard.conform.model import NEEDS, Case, Ended, Need, Result, Text, Verdict
from citycard.conform.stands import Stand
from citycard.core.apdu import ApduError, Response
from citycard.core.dialogue import CardGone
from citycard.core.layout import LayoutError
from citycard.core.problem import Problem, declare
from citycard.core.tlv import TlvError
from citycard.keys.vault import KEY_INVALID, KEY_MISSING, KEY_NAME

SAMPLES: Final = 400  # the least that bounds a 99th percentile from above with 97.5 % is 368
PASSED: Final = Text("as expected", "符合预期")
GONE: Final = Text("the card left the field", "卡片离开感应区")
# The vault lacks a key the card tells of; or a card that refuses what is right has cost a key its tries.
HINDRANCES: Final = (KEY_MISSING, KEY_NAME, KEY_INVALID, CONFORM_LAST_TRY)
SPOILED: Final = Text(
    "the card was spoiled by {case}: put in another and run this case alone with --case",
    "卡片已被 {case} 损坏：请更换卡片并用 --case 单独执行",
)

CONFORM_CASE = declare(
    "CONFORM_CASE",
    "There is no case {case}. `citycard conform list` shows the cases there are.",
    "没有用例 {case}，可用 `citycard conform list` 查看全部用例。",
)


@dataclass(frozen=True, slots=True)
class Orders:
    """How to run: what is allowed, which key, how many samples; `moment` are seven BCD bytes."""

    moment: bytes
    allow_write: bool = False
    allow_lock: bool = False
    key_index: int = 1
    samples: int = SAMPLES


def chosen(catalogue: Sequence[Case], wanted: Iterable[str]) -> tuple[Case, ...]:
    """The cases of these ids or groups; all when none is named. CONFORM_CASE names one there is not."""
    names = [name.upper() for name in wanted]
    for name in names:
        if not any(name in (case.id, case.group) for case in catalogue):
            raise CONFORM_CASE(case=name)
    return tuple(case for case in catalogue if not names or case.id in names or case.group in names)


def run(
    cases: Sequence[Case],
    stand: Stand,
    orders: Orders,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Result]:
    """Every case with its verdict, in order."""
    results: list[Result] = []
    told = _key_told(stand, orders)
    spoiled, bench = "", _bench(stand, orders, told)
    for done, case in enumerate(cases):
        progress("cases", done, len(cases))
        why = _hindrance(case, stand, orders)
        if why is None and (spoiled or case.ruins or case.prepared):
            renewed = stand.fresh(case.prepared or (0, 0))
            if spoiled and not renewed:
                why = Text(*(text.format(case=spoiled) for text in SPOILED))
            if renewed:
                spoiled, bench = "", _bench(stand, orders, told)
        if why is not None:
            results.append(Result(case, Verdict.NOT_RUN, why))
            continue
        results.append(run_case(case, bench))
        if case.ruins or case.prepared:
            spoiled = case.id
    progress("cases", len(cases), len(cases))
    return results


def _bench(stand: Stand, orders: Orders, told: tuple[int, int]) -> Bench:
    """One bench, and so one guard, for one card: it knows over all cases what tries the keys have left."""
    version, algorithm = told
    return Bench(
        Guard(stand.field(), orders.allow_write, orders.allow_lock, stand.kind.effect),
        stand.keys,
        orders.moment,
        stand.clock,
        orders.samples,
        orders.key_index,
        algorithm,
        version,
        kind=stand.kind,
    )


def run_case(case: Case, bench: Bench) -> Result:
    """One case on a bench."""
    start = bench.clock()
    verdict, why = Verdict.PASS, PASSED
    try:
        bench.begin(case.selects, case.id)
        for step in case.steps:
            step.run(bench)
    except Ended as end:
        verdict, why = end.verdict, end.text
    except CardGone:
        verdict, why = Verdict.INCONCLUSIVE, GONE
    except (LayoutError, TlvError, IndexError) as misfit:  # an answer shorter or other than any card's
        verdict, why = Verdict.FAIL, Text(f"malformed answer: {misfit}", f"应答格式错误：{misfit}")
    except Problem as problem:
        if problem.declared not in HINDRANCES:
            raise
        verdict, why = Verdict.NOT_RUN, Text(problem.text("en"), problem.text("zh"))
    seconds = (bench.clock() - start) / 1e9
    return Result(case, verdict, why, tuple(bench.observed), tuple(bench.trace), seconds)


def _hindrance(case: Case, stand: Stand, orders: Orders) -> Text | None:
    """Why a case may not run here."""
    there = {
        Need.WRITE: orders.allow_write,
        Need.KEYS: stand.keys is not None,
        Need.LOCK: orders.allow_lock,
        Need.PREPARED: Need.PREPARED in stand.offers,
        Need.CUT: Need.CUT in stand.offers,
    }
    return next((NEEDS[need] for need in Need if need in case.needs and not there[need]), None)


def _key_told(stand: Stand, orders: Orders) -> tuple[int, int]:
    """Version and algorithm of the card's keys, as INITIALIZE tells them; 1 and 0 when it does not."""
    if not stand.kind.transit:  # no composite purchase
        return 1, 0
    try:
        guard = Guard(stand.field())
        guard.connect()
        guard(stand.kind.home)
        data = bytes((orders.key_index,)) + bytes(4) + TERMINAL
        told = Response.decode(guard(bytes.fromhex("805003020B") + data + b"\x0f"))
    except (CardGone, ApduError):
        return 1, 0
    return (told.data[9], told.data[10]) if told.ok and len(told.data) == 15 else (1, 0)
