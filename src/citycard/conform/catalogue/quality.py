# SPDX-License-Identifier: Apache-2.0
"""RND, TIM: how random the card's challenges are, and how long its answers take (card facts 9).

A time limit is passed when the upper end of the interval lies below it, failed when the lower end lies
above it, and undecided in between: more samples are needed then. The limits are those published for whole
terminals; the card alone must stay below them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from citycard.conform import stats
from citycard.conform.bench import SELECT, Bench
from citycard.conform.catalogue.declare import ASSUMED, NOTHING, ONE, WRITES, case
from citycard.conform.catalogue.load import room
from citycard.conform.model import Case, Failed, Need, Step, Text, Undecided
from citycard.conform.steps import do
from citycard.conform.steps_purse import (
    COMPOSITE,
    LOAD,
    closing_command,
    fund,
    opening,
    stage_industry,
    stage_transit,
    transact,
)

T = TypeVar("T")
NIST: Final = "NIST SP 800-22, FIPS 140-2"
SHANGHAI, BEIJING, READER = "DB31/T 239-2020", "DB11/T 1164.6-2023", "gate readers' APDU timeouts"
DRAWS_MAX: Final = 1000
SESSIONS: Final = 200
RESETS: Final = 40
PLAIN_READS: Final = ("00B095001E", "00B097000B", "00B201D400", "00B201F400")


# Randomness


def _draws(bench: Bench) -> list[bytes]:
    """Challenges of 8 bytes."""
    return _once(bench, "draws", lambda: [bench.ok("0084000008") for _ in range(DRAWS_MAX)])


def _once(bench: Bench, name: str, measure: Callable[[], list[T]]) -> list[T]:
    """What was measured in this run already is not measured again: it takes minutes on a real card."""
    if name in bench.shared:
        case = bench.shared[f"{name} of"]
        bench.note(f"the samples of {case}", f"采用 {case} 的样本")
    else:
        bench.shared[name] = measure()
        bench.shared[f"{name} of"] = bench.case
    kept: list[T] = bench.shared[name]
    return kept


def _within(z: float, limit: float, what: str, what_zh: str, bench: Bench) -> None:
    bench.note(f"{what}: z = {z:+.2f}, limit {limit}", f"{what_zh}：z = {z:+.2f}，限值 {limit}")
    if abs(z) > limit:
        raise Failed(f"{what}: z = {z:+.1f} is beyond {limit}", f"{what_zh}：z = {z:+.1f}，超出 {limit}")


def _unique(draws: list[bytes], bench: Bench) -> None:
    twice = len(draws) - len(set(draws))
    bench.note(f"{len(draws)} draws, {twice} repeated", f"{len(draws)} 个随机数，重复 {twice} 个")
    if twice:
        raise Failed(f"{twice} of {len(draws)} came before", f"{len(draws)} 个中有 {twice} 个重复")


def _after_resets(bench: Bench) -> None:
    first = []
    for _ in range(RESETS):
        bench.power()
        first.append(bench.ok("0084000008"))
    _unique(first, bench)


def _sessions(bench: Bench) -> None:
    rands = [opening(bench, COMPOSITE, 0).rand for _ in range(SESSIONS)]
    _within(
        stats.monobit_z(stats.bits_of(b"".join(rands))),
        stats.Z_MAX,
        "ones in INITIALIZE's random numbers",
        "初始化随机数 1 的比例",
        bench,
    )
    if len(set(rands)) < SESSIONS - 2:  # of 200 draws of 4 bytes two alike are a chance of 5 in a million
        raise Failed("random numbers repeat", "随机数重复")


def _two_sources(bench: Bench) -> None:
    """Challenge and INITIALIZE do not give the same numbers one after the other."""
    for _ in range(RESETS):
        if bench.ok("0084000004") == opening(bench, COMPOSITE, 0).rand:
            raise Failed("INITIALIZE repeats the challenge before it", "初始化随机数与前一随机数相同")


def _random(id_: str, title: tuple[str, str], test: Callable[[Bench], None], en: str, zh: str) -> Case:
    return case(id_, title, (NIST, ONE), do(test, en, zh))


# Time


def _timed(bench: Bench, exchange: Callable[[], None]) -> list[float]:
    """Milliseconds of as many repetitions as the bench wants."""
    taken = []
    for _ in range(bench.samples):
        start = bench.clock()
        exchange()
        taken.append((bench.clock() - start) / 1e6)
    return taken


def _named(q: float) -> Text:
    """What a quantile is called."""
    return Text("median", "中位数") if q == 0.5 else Text(f"p{round(q * 100)}", f"{round(q * 100)} 分位")


def _judge(taken: list[float], q: float, limit_ms: float, bench: Bench) -> None:
    found = stats.quantile(taken, q)
    low = "?" if found.low is None else f"{found.low:.2f}"
    high = "?" if found.high is None else f"{found.high:.2f}"
    rest = f"{found.value:.2f} ms, 95 %: {low} .. {high} ms, limit {limit_ms:g} ms, n = {len(taken)}"
    name = _named(q)
    told, told_zh = f"{name.en} {rest}", f"{name.zh} {rest.replace('limit', '限值')}"
    bench.note(told, told_zh)
    if found.low is not None and found.low > limit_ms:
        raise Failed(told, told_zh)
    if found.high is None or found.high > limit_ms:
        raise Undecided(f"{told}: take more samples", f"{told_zh}：需要更多样本")


def _limit(work: Callable[[Bench], None], *limits: tuple[float, float]) -> Step:
    """Each quantile of the time that some work takes stays below its limit in ms."""

    def run(bench: Bench) -> None:
        taken = _once(bench, work.__name__, lambda: _timed(bench, lambda: work(bench)))
        for q, limit_ms in limits:
            _judge(taken, q, limit_ms, bench)

    words = [", ".join(f"{_named(q)[language]} ≤ {ms:g} ms" for q, ms in limits) for language in range(2)]
    return do(run, *words)


def _identify(bench: Bench) -> None:
    bench.ok(SELECT)


def _read(bench: Bench) -> None:
    bench.ok(SELECT)
    for command in PLAIN_READS:
        bench.send(command)


def _open(bench: Bench) -> None:
    opening(bench, COMPOSITE, 0)
    bench.opened.clear()


def _ride(bench: Bench) -> None:
    """What a gate asks of the card at an exit; the terminal's own work is not in it."""
    _read(bench)
    opened = opening(bench, COMPOSITE, 0)
    for command in (stage_industry(0x51), stage_transit(0x52)):
        bench.ok(command)
    bench.ok(closing_command(bench, opened))
    bench.opened.clear()


def _credit(bench: Bench) -> None:
    transact(bench, LOAD, 1)
    bench.opened.clear()


def _spent(bench: Bench) -> None:
    """Give back what the loads of the timing added."""
    transact(bench, COMPOSITE, min(bench.samples, bench.balance()))


def _time(
    id_: str, title: tuple[str, str], source: str, *steps: Step, needs: frozenset[Need] = NOTHING
) -> Case:
    return case(id_, title, (source, ASSUMED if source == READER else ONE), *steps, needs=needs)


CASES: Final = (
    _random(
        "RND-001",
        ("Challenges do not repeat", "随机数不重复"),
        lambda b: _unique(_draws(b), b),
        "1,000 challenges, all different",
        "1000 个随机数互不相同",
    ),
    _random(
        "RND-002",
        ("As many ones as zeros", "0 与 1 均衡"),
        lambda b: _within(
            stats.monobit_z(stats.bits_of(b"".join(_draws(b)))), stats.Z_MAX, "ones", "1 的比例", b
        ),
        "the share of ones is a half",
        "1 的比例为一半",
    ),
    _random(
        "RND-003",
        ("Bits do not follow one another", "相邻位独立"),
        lambda b: _within(stats.runs_z(stats.bits_of(b"".join(_draws(b)))), stats.Z_MAX, "runs", "游程", b),
        "as many changes as chance makes",
        "游程数符合随机",
    ),
    _random(
        "RND-004",
        ("All bytes are as frequent", "字节分布均匀"),
        lambda b: _within(
            max(0.0, stats.bytes_z(b"".join(_draws(b)))),
            stats.Z_ONE_SIDED,
            "chi-square of bytes",
            "字节卡方",
            b,
        ),
        "chi-square over 256 values",
        "256 种取值的卡方检验",
    ),
    _random(
        "RND-005",
        ("No bit position stands still", "各比特位均衡"),
        lambda b: _within(
            stats.worst_position_z(_draws(b)), stats.Z_POSITION, "worst position", "最差比特位", b
        ),
        "each of 64 positions is even",
        "64 个比特位均衡",
    ),
    _random(
        "RND-006",
        ("A challenge does not follow from the one before", "前后随机数不相关"),
        lambda b: _within(stats.serial_z(_draws(b)), stats.Z_MAX, "changes from draw to draw", "前后变化", b),
        "half of the bits change",
        "一半比特发生变化",
    ),
    _random(
        "RND-007",
        ("A reset does not start the numbers again", "复位后随机数不重来"),
        _after_resets,
        "the first challenge after each reset is new",
        "每次复位后的首个随机数均不同",
    ),
    _random(
        "RND-008",
        ("INITIALIZE draws as well as GET CHALLENGE", "初始化随机数质量"),
        _sessions,
        "even, and without repetition",
        "均衡且不重复",
    ),
    _random(
        "RND-009",
        ("INITIALIZE draws a number of its own", "初始化使用新的随机数"),
        _two_sources,
        "it is not the challenge before it",
        "与前一随机数不同",
    ),
    _time("TIM-001", ("SELECT", "选择应用时间"), READER, _limit(_identify, (0.5, 100), (0.99, 250))),
    _time("TIM-002", ("INITIALIZE", "初始化时间"), READER, _limit(_open, (0.5, 100), (0.99, 250))),
    _time("TIM-003", ("What a gate reads", "闸机读取时间"), READER, _limit(_read, (0.5, 250), (0.99, 500))),
    _time(
        "TIM-004",
        ("An exit: the card's part, median", "出站交易卡片部分（中位数）"),
        BEIJING,
        fund(10),
        _limit(_ride, (0.5, 300)),
        needs=WRITES,
    ),
    _time(
        "TIM-005",
        ("An exit: the card's part, 99 of 100", "出站交易卡片部分（99 分位）"),
        SHANGHAI,
        fund(10),
        _limit(_ride, (0.99, 400)),
        needs=WRITES,
    ),
    _time(
        "TIM-006",
        ("A load: the card's part", "圈存卡片部分"),
        SHANGHAI,
        room(),
        _limit(_credit, (0.5, 1000), (0.99, 1000)),
        Step(_spent),
        needs=WRITES,
    ),
)
