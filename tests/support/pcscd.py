# SPDX-License-Identifier: Apache-2.0
"""A pcscd of the tests' own, and emulated cards in its virtual reader that can be torn away and come back."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from citycard.core.problem import Problem
from citycard.lab.pcscd import PrivatePcscd, missing, private_pcscd
from citycard.terminal import Link, vpcd
from citycard.terminal.pcsc import readers
from tests.support import parts

APPEAR_S = 30.0  # pcscd looks every 0.4 s; a busy machine takes longer
AWAY_S = 0.6  # pcscd looks every 0.4 s, and loses its way when it misses that a card was gone

__all__ = ["APPEAR_S", "AWAY_S", "PrivatePcscd", "commanded", "in_reader", "started", "until_empty"]


def need_pyscard() -> None:
    """pyscard, or the test skips (fails in CI)."""
    parts.need(importlib.util.find_spec("smartcard"), "pyscard", "install the extra `pcsc`")


def need_pcscd() -> None:
    """All of the stack, or the test skips (fails in CI) and says what is lacking."""
    why = missing()
    parts.need(None if why else True, f"a pcscd of its own ({why})", "scripts/system installs it, as root")
    need_pyscard()


@contextmanager
def started() -> Iterator[PrivatePcscd]:
    """The daemon, for as long as the block lasts; where it cannot start the test skips (fails in CI)."""
    need_pcscd()
    with ExitStack() as stack:
        try:
            daemon = stack.enter_context(private_pcscd())
        except Problem as problem:
            daemon = parts.need(None, f"a pcscd of its own ({problem})", "stop the one that runs")
        yield daemon


@contextmanager
def in_reader(daemon: PrivatePcscd, link: Link, slot: int = 0) -> Iterator[None]:
    """The card is in the slot; torn away, it comes back; out again, and seen to be out, when the block ends."""
    leaving = threading.Event()
    wires = [daemon.dial(slot)]

    def stay() -> None:
        while not vpcd.serve(wires[-1], link) and not leaving.wait(AWAY_S):
            wires.append(daemon.dial(slot))

    thread = threading.Thread(target=stay)
    thread.start()
    try:
        yield
    finally:
        leaving.set()
        with suppress(OSError):
            wires[-1].shutdown(socket.SHUT_RDWR)
        thread.join()
        time.sleep(AWAY_S)
        until_empty(daemon.reader(slot))


def until_empty(*names: str) -> None:
    """Wait until pcscd, which looks every 0.4 s, has seen that no card is in these readers."""
    deadline = time.monotonic() + APPEAR_S
    while any(one.present for one in readers() if one.name in names):
        assert time.monotonic() < deadline, f"a card stays in {names}"
        time.sleep(AWAY_S / 4)


def commanded(daemon: PrivatePcscd, *words: str) -> subprocess.Popen[str]:
    """A `citycard` command that runs beside the tests, where the virtual reader listens."""
    return subprocess.Popen(
        daemon.inside([sys.executable, "-c", "from citycard.cli import main; main()", *words]),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
