# SPDX-License-Identifier: Apache-2.0
"""A pcscd of one's own with a virtual reader, for tests and the bench: started, used, stopped, no traces.

There can be one pcscd per machine (its socket in /run/pcscd is a fixed place), so whoever wants one queues
at a lock file. vpcd binds all addresses; so pcscd gets a network of its own where the kernel allows that,
and the virtual card's socket is made in there. A machine that forbids it serves on a free port.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TypeVar

from citycard.core.problem import Problem, declare
from citycard.terminal import vpcd

DRIVER: Final = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
RUN_FOLDER: Final = Path("/run/pcscd")
LOCK: Final = Path(tempfile.gettempdir()) / "citycard-pcscd.lock"
START_S: Final = 10.0
POLL_S: Final = 0.01
STOP_S: Final = 5.0
FIRST_PORT: Final = 42_000
CLONE_NEWNET: Final = 0x4000_0000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

PCSCD_UNSTARTED = declare(
    "PCSCD_UNSTARTED",
    "A pcscd of one's own could not be started: {why}. Stop the one that runs, or install pcscd and "
    "vsmartcard-vpcd with scripts/system.",
    "无法启动专用的 pcscd：{why}。请停止正在运行的 pcscd，"
    "或用 scripts/system 安装 pcscd 和 vsmartcard-vpcd。",
)

T = TypeVar("T")


def missing() -> str:
    """What is lacking for a pcscd of one's own, in words; empty when nothing is."""
    if shutil.which("pcscd") is None:
        return "pcscd is not installed"
    if not DRIVER.exists():
        return "vsmartcard-vpcd is not installed"
    folder = RUN_FOLDER if RUN_FOLDER.exists() else RUN_FOLDER.parent
    if not os.access(folder, os.W_OK):
        return f"{folder} is not ours to write"
    return ""


class PrivatePcscd:
    """A running pcscd with one virtual reader of two slots; `dial(slot)` connects a card to a slot."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, name: str, apart: bool) -> None:
        self._process = process
        self.port = port
        self.name = name
        self.apart = apart

    def reader(self, slot: int = 0) -> str:
        """The PC/SC name of a slot."""
        return f"{self.name} 00 {slot:02X}"

    def dial(self, slot: int = 0) -> socket.socket:
        """A new connection of a card to a slot."""

        def connect() -> socket.socket:
            return vpcd.dial(port=self.port + slot)

        return _within(self._process.pid, connect) if self.apart else connect()

    def inside(self, command: list[str]) -> list[str]:
        """A command that runs where the virtual reader listens."""
        if not self.apart:
            return command
        return ["nsenter", f"--net=/proc/{self._process.pid}/ns/net", *command]


@contextmanager
def private_pcscd(name: str = "citycard test reader") -> Iterator[PrivatePcscd]:
    """A pcscd for as long as the block lasts. PCSCD_UNSTARTED."""
    if why := missing():
        raise PCSCD_UNSTARTED(why=why)
    with ExitStack() as stack:
        lock = stack.enter_context(LOCK.open("a"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _another():
            raise PCSCD_UNSTARTED(why="another pcscd is running")
        RUN_FOLDER.mkdir(parents=True, exist_ok=True)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="citycard-pcscd-")))
        port, readers = _free_ports(), folder / "readers"
        readers.mkdir()
        text = (
            f'FRIENDLYNAME "{name}"\nDEVICENAME /dev/null:0x{port:04X}\nLIBPATH {DRIVER}\nCHANNELID {port}\n'
        )
        (readers / "vpcd").write_text(text, encoding="ascii")
        apart = _may_unshare()
        command = [
            *(["unshare", "--net"] if apart else []),
            "pcscd",
            "--foreground",
            "--config",
            str(readers),
        ]
        log = stack.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        stack.callback(_stop, process)
        started = PrivatePcscd(process, port, name, apart)
        _wait(started, process, folder / "log")
        yield started


def _another() -> bool:
    """Whether a pcscd that is not ours answers; a socket left behind by a dead one does not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(RUN_FOLDER / "pcscd.comm")) == 0


def _wait(started: PrivatePcscd, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until vpcd takes a connection and pcscd listens."""
    until, last, up = time.monotonic() + START_S, "pcscd does not listen", not started.apart
    while time.monotonic() < until:
        if process.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines()
            raise PCSCD_UNSTARTED(why=said[-1] if said else f"it ended with {process.returncode}")
        try:
            if not up and _network(process.pid) != _network(os.getpid()):
                _within(process.pid, _loopback_up)
                up = True
            if up and (RUN_FOLDER / "pcscd.comm").exists():
                started.dial(1).close()
                return
        except (OSError, Problem) as fault:
            last = str(fault)
        time.sleep(POLL_S)
    raise PCSCD_UNSTARTED(why=last)


def _network(pid: int) -> int:
    """Which network a process is in; `unshare` needs a moment until its is another than ours."""
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop it and wipe what it leaves in its folder when it dies hard."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for name in ("pcscd.comm", "pcscd.pid"):
        (RUN_FOLDER / name).unlink(missing_ok=True)


def _free_ports() -> int:
    """A port that is free and whose next is free."""
    for port in range(FIRST_PORT, FIRST_PORT + 2000, 2):
        try:
            for probe in vpcd.listen(port):
                probe.close()
        except OSError:
            continue
        return port
    raise PCSCD_UNSTARTED(why="no two ports in a row are free")


def _may_unshare() -> bool:
    """Whether this machine lets us give a process a network of its own, and enter it."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return False
    tried = subprocess.run(["unshare", "--net", "true"], stdin=subprocess.DEVNULL, capture_output=True)
    return tried.returncode == 0


def _within(pid: int, action: Callable[[], T]) -> T:
    """Do something in another process's network, in a thread that ends with it."""
    answers: list[T] = []
    faults: list[BaseException] = []

    def enter() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/proc/{pid}/ns/net", "rb") as namespace:
                if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "the network of pcscd cannot be entered")
            answers.append(action())
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if faults:
        raise faults[0]
    return answers[0]


def _loopback_up() -> None:
    """A network of one's own begins with its loopback down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16xH14x", fcntl.ioctl(probe, SIOCGIFFLAGS, request))[0]
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
