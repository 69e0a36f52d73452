# SPDX-License-Identifier: Apache-2.0
"""The card at the gate: a metro exit through pcscd and vpcd beside the bare echo of its APDUs.

Yardstick: the very same commands, in the same stack, against a card that answers from a list, sent by a loop
that does nothing else. Both present the card anew (power, ATR) before each exit. Beside it: APDUs per second
of the emulated card in process, key diversifications per second, and what each dialogue costs in the air.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, Final

from citycard.core.card import Card
from citycard.core.crypto import TRIPLE_DES
from citycard.core.trace import Presented, Traced, Tracer
from citycard.keys import MemoryVault, card_factors
from citycard.keys.vault import KeyName
from citycard.lab.bench.dialogues import dialogues
from citycard.lab.bench.result import BenchResult
from citycard.lab.bench.tap import START, _tap, _world
from citycard.lab.bench.tokens import token_vault
from citycard.lab.pcscd import PrivatePcscd, private_pcscd
from citycard.services.contract import Event
from citycard.terminal import EmulatedLink, Link, Outcome, TracedLink, vpcd
from citycard.terminal.pcsc import PcscLink

EXITS: Final = 200
WARM_UP: Final = 20
ROUNDS: Final = 2000  # diversifications timed
APPEAR_S: Final = 5.0
RIDE: Final = timedelta(minutes=12)


class _Echo:
    """A card that answers the commands of one exit in their order and knows nothing."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = answers
        self._next = 0

    def connect(self) -> bytes:
        """The ATR of the emulated card; the list starts again."""
        self._next = 0
        return bytes.fromhex("3B80800101")

    def __call__(self, command: bytes) -> bytes:
        answer = self._answers[self._next]
        self._next += 1
        return answer


def run(exits: int = EXITS) -> BenchResult:
    """Median of so many metro exits through PC/SC beside the median of their echo."""
    started = time.perf_counter()
    chip, gates, clock = _world()
    talk = _one_exit(chip, gates, clock)
    with ExitStack() as stack:
        daemon = stack.enter_context(private_pcscd("citycard bench reader"))
        stack.enter_context(_in_reader(daemon, 0, EmulatedLink(chip)))
        stack.enter_context(_in_reader(daemon, 1, _Echo([answer for _, answer in talk])))
        ours = stack.enter_context(PcscLink(daemon.reader(0)))
        echo = stack.enter_context(PcscLink(daemon.reader(1)))
        for link in (ours, echo):
            link.wait(APPEAR_S)
        exit_s, echo_s = _race(ours, echo, gates, clock, [command for command, _ in talk], exits)
    median, bare = statistics.median(exit_s) * 1e3, statistics.median(echo_s) * 1e3
    return BenchResult(
        name="card",
        what=f"{exits} metro exits of {len(talk)} APDUs through pcscd and vpcd, journal in memory",
        figure=round(median, 3),
        unit="ms per exit",
        yardstick=round(bare, 3),
        yardstick_what="bare echo of the same APDUs through the same stack",
        ratio=round(median / bare, 2),
        ratio_means="ours / echo; the aim is below 1.5",
        seconds=round(time.perf_counter() - started, 2),
        details={
            "p99_ms": _p99(exit_s),
            "echo_p99": _p99(echo_s),
            "apdus_s": round(_apdus_per_second(chip, gates, clock)),
            **_diversifications(),
            **dialogues(),
        },
    )


def _race(
    ours: Link, echo: Link, gates: list[Any], clock: list[Any], commands: list[bytes], exits: int
) -> tuple[list[float], list[float]]:
    """Seconds of each exit and of each echo, taken in turn so that both meet the same machine."""
    exit_s: list[float] = []
    echo_s: list[float] = []
    for number in range(exits + WARM_UP):
        clock[0] += timedelta(minutes=30)
        entered = gates[0].tap(ours, Event.ENTER)
        assert entered.outcome is Outcome.ACCEPTED, entered
        clock[0] += RIDE
        begin = time.perf_counter()
        result = gates[1].tap(ours, Event.EXIT)
        between = time.perf_counter()
        echo.connect()
        for command in commands:
            echo(command)
        end = time.perf_counter()
        assert result.outcome is Outcome.ACCEPTED, result
        if number >= WARM_UP:
            exit_s.append(between - begin)
            echo_s.append(end - between)
    return exit_s, echo_s


def _one_exit(chip: Card, gates: list[Any], clock: list[Any]) -> list[tuple[bytes, bytes]]:
    """Commands and answers of one metro exit at the card, which is put back to where it was."""
    talk: list[tuple[bytes, bytes]] = []

    def note(step: Traced | Presented) -> None:
        if isinstance(step, Traced) and step.response is not None:
            talk.append((step.command, step.response))

    _tap(gates[0], chip, Event.ENTER)
    clock[0] = START + RIDE
    result = gates[1].tap(TracedLink(EmulatedLink(chip), Tracer(), note), Event.EXIT)
    assert result.outcome is Outcome.ACCEPTED, result
    return talk


@contextmanager
def _in_reader(daemon: PrivatePcscd, slot: int, link: Link) -> Iterator[None]:
    """A card in a slot, served by a process of its own, as a real card is no part of its terminal."""
    wire = daemon.dial(slot)
    process = multiprocessing.get_context("fork").Process(target=vpcd.serve, args=(wire, link), daemon=True)
    process.start()
    wire.close()  # the process has its own
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _p99(seconds: list[float]) -> float:
    return round(sorted(seconds)[int(len(seconds) * 0.99)] * 1e3, 3)


def _apdus_per_second(chip: Card, gates: list[Any], clock: list[Any], trips: int = 100) -> float:
    """Commands of entries and exits that the card answers in a second of its own time."""
    spent = count = 0.0
    answer = chip.process

    def timed(command: bytes) -> bytes:
        nonlocal spent, count
        begin = time.perf_counter()
        said = answer(command)
        spent += time.perf_counter() - begin
        count += 1
        return said

    chip.process = timed  # type: ignore[method-assign]
    try:
        for _ in range(trips):
            clock[0] += timedelta(minutes=30)
            _tap(gates[0], chip, Event.ENTER)
            clock[0] += RIDE
            _tap(gates[1], chip, Event.EXIT)
    finally:
        del chip.process
    return count / spent


# Keys


def _diversifications() -> dict[str, str]:
    """Two-level diversifications with a session key per second: vaults beside the raw library."""
    factors = card_factors(bytes.fromhex("02009900FFFFFFFF"), "03109900010000000014")
    vault = MemoryVault()
    vault.generate(KeyName.PURCHASE, TRIPLE_DES)
    raw = _per_second(_raw(os.urandom(16), factors))
    soft = _per_second(lambda n: vault.session(KeyName.PURCHASE, 1, _card(factors, n), n))
    found = {"soft vault": f"{soft:,.0f} /s, raw library {raw:,.0f} /s, ratio {raw / soft:.2f}"}
    with token_vault() as (token, why):
        if token is None:
            found["softhsm2"] = why
            return found
        token.generate(KeyName.PURCHASE, TRIPLE_DES)
        rate = _per_second(lambda n: token.session(KeyName.PURCHASE, 1, _card(factors, n), n), ROUNDS // 10)
        found["softhsm2"] = f"{rate:,.0f} /s, raw library {raw:,.0f} /s, ratio {raw / rate:.1f}"
    return found


def _card(factors: tuple[bytes, ...], number: bytes) -> tuple[bytes, ...]:
    """The factors of another card of the same issuer."""
    return (*factors[:-1], number)


def _raw(root: bytes, factors: tuple[bytes, ...]) -> Callable[[bytes], object]:
    """The same cipher work called straight in the library, key schedules included."""
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    ecb = modes.ECB()

    def diversify(key: bytes, factor: bytes) -> bytes:
        block = factor + bytes(byte ^ 0xFF for byte in factor)
        return Cipher(TripleDES(key + key[:8]), ecb).encryptor().update(block)

    issuer = diversify(root, factors[0])  # as the vault keeps the issuer's branch

    def session(number: bytes) -> bytes:
        key = diversify(issuer, number)
        return Cipher(TripleDES(key + key[:8]), ecb).encryptor().update(number)

    return session


def _per_second(action: Callable[[bytes], object], rounds: int = ROUNDS) -> float:
    best = float("inf")
    for _ in range(3):
        numbers = [os.urandom(8) for _ in range(rounds)]  # never the same, so that nothing kept helps
        begin = time.perf_counter()
        for number in numbers:
            action(number)
        best = min(best, time.perf_counter() - begin)
    return rounds / best
