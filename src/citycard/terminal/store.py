# SPDX-License-Identifier: Apache-2.0
"""The one seam between a terminal and its disk: few operations, each of which may be the last.

`FolderStore` keeps files in a folder, `MemoryStore` in memory, where a power cut can be played. Both call
`step(what, name)` before every single change of the medium; a test or a simulation raises there, and what
was done before is all that is left, as after SIGKILL.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Protocol

from citycard.core.problem import declare

Step = Callable[[str, str], object]

STORE_IN_USE = declare(
    "STORE_IN_USE",
    "The folder {folder} is in use by another terminal process. Stop that process, or choose another folder.",
    "目录 {folder} 正被另一个终端进程使用，请停止该进程或更换目录。",
)
STORE_FAILED = declare(
    "STORE_FAILED",
    "The terminal cannot write {name} in {folder}: {why}. Free space or repair the disk; nothing was lost.",
    "终端无法写入 {folder} 中的 {name}：{why}。请清理空间或修复磁盘，数据未丢失。",
)


def no_step(what: str, name: str) -> None:
    """The step of ordinary life: nothing happens."""


class Store(Protocol):
    """Files by name. `append` and `replace` may be cut anywhere; `replace` is all or nothing."""

    def claim(self) -> None:
        """Take the store for this process; STORE_IN_USE when another has it."""
        ...

    def read(self, name: str) -> bytes | None:
        """The whole file, None when there is none."""
        ...

    def append(self, name: str, data: bytes) -> None:
        """Add bytes at the end; durable only after `sync`."""
        ...

    def sync(self, name: str) -> None:
        """Make all that was appended durable."""
        ...

    def truncate(self, name: str, size: int) -> None:
        """Cut the file to a size, durably."""
        ...

    def replace(self, name: str, data: bytes) -> None:
        """Put a file in the place of the old one, durably and all at once."""
        ...


class FolderStore:
    """A store in a folder of the file system. Files are readable by their owner only."""

    def __init__(self, folder: Path, step: Step = no_step) -> None:
        self.folder = folder
        self._step = step
        self._open: dict[str, int] = {}
        self._lock: int | None = None

    def claim(self) -> None:
        """Lock the folder for this process; the lock ends with the process."""
        if self._lock is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise self._failed(".lock", fault) from None
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            os.close(lock)
            if fault.errno in (errno.EACCES, errno.EAGAIN):
                raise STORE_IN_USE(folder=self.folder) from None
            raise self._failed(".lock", fault) from None
        self._lock = lock

    def close(self) -> None:
        """Close files and give the folder back."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise self._failed(name, fault) from None

    def append(self, name: str, data: bytes) -> None:
        self._step("append", name)
        try:
            descriptor = self._descriptor(name)
            written = os.write(descriptor, data)
            while written < len(data):
                written += os.write(descriptor, data[written:])
        except OSError as fault:
            raise self._failed(name, fault) from None

    def sync(self, name: str) -> None:
        self._step("sync", name)
        try:
            os.fdatasync(self._descriptor(name))
        except OSError as fault:
            raise self._failed(name, fault) from None

    def truncate(self, name: str, size: int) -> None:
        self._step("truncate", name)
        try:
            descriptor = self._descriptor(name)
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        except OSError as fault:
            raise self._failed(name, fault) from None

    def replace(self, name: str, data: bytes) -> None:
        fresh = self.folder / f"{name}.new"
        try:
            self._step("write", fresh.name)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with open(os.open(fresh, flags, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                self._step("sync", fresh.name)
                os.fsync(file.fileno())
            if name in self._open:
                os.close(self._open.pop(name))
            self._step("rename", name)
            os.replace(fresh, self.folder / name)
            self._step("sync folder", name)
            self._sync_folder()
        except OSError as fault:
            raise self._failed(name, fault) from None

    def _descriptor(self, name: str) -> int:
        if name not in self._open:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            fresh = not (self.folder / name).exists()
            self._open[name] = os.open(self.folder / name, flags, 0o600)
            if fresh:
                self._sync_folder()
        return self._open[name]

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _failed(self, name: str, fault: OSError) -> Exception:
        return STORE_FAILED(name=name, folder=self.folder, why=fault.strerror or str(fault))


class MemoryStore:
    """A store in memory for simulations: quick, and it can lose its power."""

    def __init__(self, step: Step = no_step) -> None:
        self._step = step
        self._files: dict[str, bytearray] = {}
        self._durable: dict[str, int] = {}

    def claim(self) -> None:
        """Nothing to take."""

    def close(self) -> None:
        """Nothing to give back."""

    def read(self, name: str) -> bytes | None:
        file = self._files.get(name)
        return None if file is None else bytes(file)

    def append(self, name: str, data: bytes) -> None:
        try:
            self._step("append", name)
        except BaseException:
            # Killed in the middle of the write: a part of it may have reached the file.
            self._files.setdefault(name, bytearray()).extend(data[: len(data) // 2])
            raise
        self._files.setdefault(name, bytearray()).extend(data)

    def sync(self, name: str) -> None:
        self._step("sync", name)
        self._durable[name] = len(self._files.get(name, b""))

    def truncate(self, name: str, size: int) -> None:
        self._step("truncate", name)
        del self._files.setdefault(name, bytearray())[size:]
        self._durable[name] = min(size, len(self._files[name]))

    def replace(self, name: str, data: bytes) -> None:
        for what in ("write", "sync", "rename"):
            self._step(what, name)
        self._files[name] = bytearray(data)
        self._durable[name] = len(data)
        self._step("sync folder", name)

    def copy(self, step: Step = no_step) -> MemoryStore:
        """Another store that holds the same."""
        made = MemoryStore(step)
        made._files = {name: bytearray(file) for name, file in self._files.items()}
        made._durable = dict(self._durable)
        return made

    def cut_power(self, random: Random) -> None:
        """Lose the power: of what was not synced a random part of the beginning is left."""
        for name, file in self._files.items():
            durable = self._durable.get(name, 0)
            del file[random.randint(durable, len(file)) :]
