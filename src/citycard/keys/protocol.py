# SPDX-License-Identifier: Apache-2.0
"""Protocols of what was done to keys (密钥操作记录): who, what, check values; kept in a hash-chained file.

`ceremonies.log` has a protocol a line, JSON, each with the SHA-256 of the one before it, so that none can be
altered or taken from the middle without all after it changing. The hash of the newest is printed on every
protocol: paper in the safe proves the file. No protocol holds a secret.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from citycard.core.problem import declare
from citycard.keys.shares import Component
from citycard.keys.vault import KeyInfo

FILE: Final = "ceremonies.log"
FIRST: Final = "0" * 64
TITLES: Final = {
    "make": ("Key ceremony", "密钥仪式"),
    "enrol": ("Custodians registered", "登记保管员"),
    "restore": ("Keys made again from components", "由分量恢复密钥"),
    "rollover": ("Roll-over to a new key version", "密钥版本切换"),
    "destroy": ("Destruction of a key", "密钥销毁"),
    "import": ("Key taken in", "密钥导入"),
    "sam": ("Security module issued", "安全模块发行"),
    "sam-state": ("Security module: change of state", "安全模块状态变更"),
}
FACTS: Final = {
    "method": "Method 方法",
    "needed": "Components needed 所需分量",
    "secret_check_value": "Check value of the root secret 根密钥校验值",
    "version": "Key version 密钥版本",
    "suites": "Suites 算法",
    "start": "New cards from 新卡启用时间",
    "source": "Made from 来源",
    "cards_in_force": "Cards in force 有效卡数",
    "modules_in_use": "Modules in use 在用安全模块",
    "forced": "Forced 强制",
    "custodians": "Custodians 保管员",
    "serial": "Serial 序列号",
    "role": "Role 角色",
    "terminal": "Terminal 终端",
    "keys_held": "Keys held 密钥数",
    "state": "State 状态",
    "reason": "Reason 原因",
}

PROTOCOL_CHAIN = declare(
    "PROTOCOL_CHAIN",
    "The ceremony log {path} was altered at line {line}. Compare it with the printed protocols.",
    "密钥操作日志 {path} 在第 {line} 行被改动，请与纸质记录核对。",
)
PROTOCOL_MISSING = declare(
    "PROTOCOL_MISSING",
    "There is no protocol {number} in {path}; it has {count}.",
    "{path} 中没有编号为 {number} 的记录，共有 {count} 条。",
)


@dataclass(frozen=True, slots=True)
class Protocol:
    """One deed. `facts` are plain values; `keys` and `components` are rows of check values."""

    kind: str
    at: str
    by: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    keys: tuple[dict[str, Any], ...] = ()
    components: tuple[dict[str, Any], ...] = ()
    number: int = 0
    previous: str = FIRST
    hash: str = ""

    def title(self, language: str = "en") -> str:
        """What kind of deed, for people."""
        return TITLES[self.kind][1 if language.startswith("zh") else 0]


def told(made: Protocol) -> list[tuple[str, str]]:
    """The facts of a protocol under their titles, for people."""
    return [(FACTS.get(name, name), str(value)) for name, value in made.facts.items()]


def protocol(
    kind: str,
    at: datetime,
    by: Sequence[str],
    *,
    keys: Sequence[KeyInfo] = (),
    components: Sequence[tuple[str, Component]] = (),
    **facts: Any,
) -> Protocol:
    """A protocol that is not in a log yet."""
    assert kind in TITLES
    assert facts.keys() <= FACTS.keys(), "every fact has a title for people"
    rows = tuple(
        {
            "name": info.name, "version": info.version, "suite": info.suite_name,
            "check_value": info.check_value,
            "not_before": info.not_before and info.not_before.isoformat(),
            "not_after": info.not_after and info.not_after.isoformat(),
        }
        for info in keys
    )  # fmt: skip
    shares = tuple(
        {"custodian": name, "number": one.number, "check_value": one.check_value} for name, one in components
    )
    return Protocol(kind, at.replace(microsecond=0).isoformat(), tuple(by), facts, rows, shares)


def append(home: Path, made: Protocol) -> Protocol:
    """Put it at the end of the log, durably; the protocol with its number and hash. PROTOCOL_CHAIN."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / FILE).open("ab+") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        before = read(home)
        previous = before[-1].hash if before else FIRST
        body = _body(made) | {"number": len(before) + 1, "previous": previous}
        entry = body | {"hash": _hash(body)}
        log.write(json.dumps(entry, ensure_ascii=False, sort_keys=True).encode() + b"\n")
        log.flush()
        os.fsync(log.fileno())
    return _protocol(entry)


def read(home: Path) -> list[Protocol]:
    """All protocols, the chain checked. PROTOCOL_CHAIN."""
    path = home / FILE
    if not path.exists():
        return []
    found: list[Protocol] = []
    previous = FIRST
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            entry = json.loads(line)
            body = {name: value for name, value in entry.items() if name != "hash"}
            good = (entry["number"], entry["previous"], entry["hash"]) == (number, previous, _hash(body))
            made = _protocol(entry)
        except (ValueError, KeyError, TypeError, AttributeError):
            good = False
        if not good:
            raise PROTOCOL_CHAIN(path=path, line=number)
        found.append(made)
        previous = made.hash
    return found


def numbered(home: Path, number: int | None) -> Protocol:
    """The protocol of that number, None the newest. PROTOCOL_MISSING."""
    found = read(home)
    wanted = len(found) if number is None else number
    if not 1 <= wanted <= len(found):
        raise PROTOCOL_MISSING(number=number or 1, path=home / FILE, count=len(found))
    return found[wanted - 1]


def _body(made: Protocol) -> dict[str, Any]:
    return {
        "kind": made.kind, "at": made.at, "by": list(made.by), "facts": made.facts,
        "keys": list(made.keys), "components": list(made.components),
    }  # fmt: skip


def _hash(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _protocol(entry: dict[str, Any]) -> Protocol:
    plain = {name: tuple(entry[name]) for name in ("by", "keys", "components")}
    return Protocol(**{**entry, **plain})
