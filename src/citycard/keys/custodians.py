# SPDX-License-Identifier: Apache-2.0
"""The custodians of a home's keys (密钥保管员) and their passphrases: it takes two for what one may not do.

`custodians.json` holds for each a name, and what Argon2id makes of the passphrase: it confirms a person and
opens nothing. The same passphrase, worked with another salt, seals the custodian's share file.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from citycard.core.problem import declare
from citycard.keys.durable import replace_file
from citycard.keys.envelope import NONCE_SIZE, SALT_SIZE, STRONG, Cost, Lock, seal, unseal
from citycard.keys.secret import KeyBytes
from citycard.keys.shares import Component, parse

FILE: Final = "custodians.json"
FORMAT: Final = 1
SHARE_MAGIC: Final = b"CITYSHAR"
SHARE_SUFFIX: Final = ".share"
PASSPHRASE_MIN: Final = 8
NAME_MAX: Final = 40

CUSTODIAN_UNKNOWN = declare(
    "CUSTODIAN_UNKNOWN",
    "{name} is no custodian of {home}; its custodians are {names}.",
    "{name} 不是 {home} 的密钥保管员，现有保管员：{names}。",
)
CUSTODIAN_PASSPHRASE = declare(
    "CUSTODIAN_PASSPHRASE",
    "That is not the passphrase of custodian {name}.",
    "保管员 {name} 的口令不正确。",
)
CUSTODIAN_WEAK = declare(
    "CUSTODIAN_WEAK",
    "A custodian has a name of 1 to {most} characters and a passphrase of at least {least}.",
    "保管员姓名为 1 至 {most} 个字符，口令至少 {least} 个字符。",
)
CUSTODIAN_TWO = declare(
    "CUSTODIAN_TWO",
    "This takes two different custodians: name them with --custodian, twice.",
    "此操作须由两名不同的保管员共同办理：请用 --custodian 指定两次。",
)
CUSTODIAN_FILE = declare(
    "CUSTODIAN_FILE",
    "The register of custodians {path} is damaged. Restore it.",
    "保管员名册 {path} 已损坏，请恢复该文件。",
)
SHARE_FILE = declare(
    "SHARE_FILE",
    "The share file {path} cannot be read: {why}.",
    "无法读取分量文件 {path}：{why}。",
)


class Custodians:
    """The register of a home. `cost` is what one guess of a passphrase costs."""

    def __init__(
        self, home: Path, *, cost: Cost = STRONG, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._home, self._path = home, home / FILE
        self._cost, self._random = cost, random

    def names(self) -> list[str]:
        """Who is a custodian here."""
        return sorted(self._read())

    def enrol(self, name: str, passphrase: str) -> None:
        """Add a custodian; one who is there confirms instead. CUSTODIAN_WEAK, CUSTODIAN_PASSPHRASE."""
        if name in self._read():
            self.confirm(name, passphrase)
            return
        if not 0 < len(name) <= NAME_MAX or not name.isprintable() or len(passphrase) < PASSPHRASE_MIN:
            raise CUSTODIAN_WEAK(most=NAME_MAX, least=PASSPHRASE_MIN)
        lock = Lock.make(_bytes(passphrase), self._cost, self._random(SALT_SIZE))
        entry = {
            "salt": lock.salt.hex(),
            "cost": [lock.cost.iterations, lock.cost.lanes, lock.cost.memory_kib],
            "verifier": lock.verifier.hex(),
        }
        with self._alone():
            known = self._read()
            known[name] = entry
            replace_file(self._path, json.dumps({"format": FORMAT, "custodians": known}, indent=1).encode())

    def confirm(self, name: str, passphrase: str) -> None:
        """CUSTODIAN_UNKNOWN, CUSTODIAN_PASSPHRASE."""
        known = self._read()
        entry = known.get(name)
        if entry is None:
            raise CUSTODIAN_UNKNOWN(name=name, home=self._home, names=", ".join(sorted(known)) or "none")
        lock = Lock.make(_bytes(passphrase), Cost(*entry["cost"]), bytes.fromhex(entry["salt"]))
        if not hmac.compare_digest(lock.verifier, bytes.fromhex(entry["verifier"])):
            raise CUSTODIAN_PASSPHRASE(name=name)

    def _read(self) -> dict[str, Any]:
        try:
            said = json.loads(self._path.read_text(encoding="utf-8"))
            known: dict[str, Any] = said["custodians"]
            if said["format"] != FORMAT or not all(
                {"salt", "cost", "verifier"} <= set(e) for e in known.values()
            ):
                raise ValueError
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CUSTODIAN_FILE(path=self._path) from None
        return known

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._home.mkdir(parents=True, exist_ok=True)
        with self._path.with_name(FILE + ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def check_two(names: Sequence[str]) -> None:
    """CUSTODIAN_TWO unless at least two different people are named."""
    if len(set(names)) < 2 or len(set(names)) != len(names):
        raise CUSTODIAN_TWO()


def write_share(
    path: Path, component: Component, passphrase: str, *, cost: Cost = STRONG,
    random: Callable[[int], bytes] = os.urandom,
) -> None:  # fmt: skip
    """A component in a file under its custodian's passphrase."""
    lock = Lock.make(_bytes(passphrase), cost, random(SALT_SIZE))
    body = KeyBytes(component.text().encode("ascii"))
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, seal(lock, body, random(NONCE_SIZE), SHARE_MAGIC))


def read_share(path: Path, passphrase: str) -> Component:
    """The component in a file. SHARE_FILE, and VAULT_DAMAGED or VAULT_PASSPHRASE naming it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SHARE_FILE(path=path, why=error.strerror) from None
    _, body = unseal(data, _bytes(passphrase), path, SHARE_MAGIC)
    return parse(bytes(body).decode("ascii"))


def _bytes(passphrase: str) -> KeyBytes:
    return KeyBytes(passphrase.encode("utf-8", "surrogateescape"))
