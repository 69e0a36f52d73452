# SPDX-License-Identifier: Apache-2.0
"""What the office tells a terminal: tariffs, accepted issuers and the hotlist, in versions, kept on disk.

A set of parameters is checked as a whole before it replaces the one in force, and the file of it is replaced
at once, so that a terminal has the old set or the new one and never a mixture. The hotlist comes as
differences: a difference that does not start at the version held is refused, and the whole list asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from citycard.core.problem import declare
from citycard.services import REGISTRY, load_config
from citycard.terminal.store import Store

FORMAT: Final = 1
PARAMETERS_FILE: Final = "parameters.json"
HOTLIST_FILE: Final = "hotlist.json"
HOTLIST_MAX: Final = 2_000_000  # cards: 40 MB of memory, more than any city has lost

PARAMETERS_INVALID = declare(
    "PARAMETERS_INVALID",
    "The parameters are not valid at {where}: {why}. Those in force stay; correct them in the office.",
    "参数在 {where} 处无效：{why}。现行参数继续有效，请在后台修正。",
)
PARAMETERS_DAMAGED = declare(
    "PARAMETERS_DAMAGED",
    "The file {name} is damaged or of another format. Remove it; the terminal downloads it again.",
    "文件 {name} 已损坏或格式不符。请删除，终端将重新下载。",
)
HOTLIST_GAP = declare(
    "HOTLIST_GAP",
    "The hotlist difference starts at version {since}, the terminal holds {held}. The whole list is needed.",
    "黑名单增量起始版本为 {since}，终端现有版本为 {held}，需要下载完整名单。",
)

Pan = Annotated[str, Field(pattern=r"^[0-9]{20}$")]
Version = Annotated[int, Field(ge=0, le=0xFFFF_FFFF)]


class HotlistDelta(BaseModel):
    """A difference between two versions of the hotlist; `since` 0 starts from nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Version
    since: Version
    add: tuple[Pan, ...] = ()
    remove: tuple[Pan, ...] = ()


@dataclass(frozen=True, slots=True)
class Hotlist:
    """Cards that are not to be accepted, and the list's version."""

    version: int = 0
    pans: frozenset[str] = frozenset()

    def __contains__(self, pan: str) -> bool:
        return pan in self.pans

    def apply(self, delta: HotlistDelta) -> Hotlist:
        """The list after a difference, which must start here or at 0 (HOTLIST_GAP); one held is no news."""
        if delta.since and delta.version <= self.version:
            return self
        if delta.since not in (0, self.version):
            raise HOTLIST_GAP(since=delta.since, held=self.version)
        before = self.pans if delta.since else frozenset()
        pans = before.difference(delta.remove).union(delta.add)
        if len(pans) > HOTLIST_MAX:
            raise PARAMETERS_INVALID(where="hotlist", why=f"more than {HOTLIST_MAX} cards")
        return Hotlist(delta.version, pans)


class ParameterSet(BaseModel):
    """Parameters as the office sends them and as the file holds them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Version
    hotlist_version: Version = 0
    business: dict[str, Any] = Field(default_factory=dict)
    tariffs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tariff_versions: dict[str, int] = Field(default_factory=dict)
    issuers: tuple[Annotated[str, Field(pattern=r"^[0-9a-fA-F]{16}$")], ...] = ()
    distrusted: tuple[Annotated[str, Field(pattern=r"^[0-9a-fA-F]{12}$")], ...] = ()


@dataclass(frozen=True, slots=True)
class Parameters:
    """All a terminal decides by.

    `tariffs` are the services' configurations by service code, `tariff_versions` their versions; `issuers`
    the white list, 8 bytes each; `confirmed_at` when the office last said that this is what holds;
    `distrusted` the numbers of security modules that were stolen.
    """

    version: int = 0
    tariffs: Mapping[int, Any] = field(default_factory=lambda: MappingProxyType({}))
    hotlist: Hotlist = Hotlist()
    issuers: frozenset[bytes] = frozenset()
    tariff_versions: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    business: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    confirmed_at: datetime | None = None
    distrusted: frozenset[bytes] = frozenset()

    def tariff_version(self, service: int) -> int:
        """The version a record carries (one byte)."""
        return self.tariff_versions.get(service, self.version) & 0xFF


def read_parameters(raw: Any, hotlist: Hotlist, at: datetime | None, only: Iterable[int] = ()) -> Parameters:
    """Parameters from the office's answer; `only` names the services this terminal serves (none: all).

    Tariffs of services this program does not have are left out. PARAMETERS_INVALID names the place.
    """
    try:
        given = ParameterSet.model_validate(raw)
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise PARAMETERS_INVALID(where=where, why=first["msg"]) from None
    wanted = frozenset(only) or frozenset(REGISTRY)
    codes = {int(code) for code in given.tariffs if code.isdecimal()} & wanted & REGISTRY.keys()
    return Parameters(
        given.version,
        MappingProxyType({code: load_config(code, given.tariffs[str(code)]) for code in sorted(codes)}),
        hotlist,
        frozenset(bytes.fromhex(issuer) for issuer in given.issuers),
        MappingProxyType({int(code): v for code, v in given.tariff_versions.items() if code.isdecimal()}),
        MappingProxyType(given.business),
        at,
        frozenset(bytes.fromhex(terminal) for terminal in given.distrusted),
    )


class Shelf:
    """Where a terminal keeps its parameters between two starts; each file is replaced as a whole."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, only: Iterable[int] = ()) -> Parameters:
        """What was kept last; empty parameters (nothing is accepted) when nothing was.

        PARAMETERS_DAMAGED when a file is not what was written.
        """
        kept = self._read(HOTLIST_FILE) or {"version": 0, "pans": []}
        hotlist = Hotlist(kept["version"], frozenset(kept["pans"]))
        body = self._read(PARAMETERS_FILE)
        if body is None:
            return Parameters(hotlist=hotlist)
        at = body["confirmed_at"]
        return read_parameters(body["set"], hotlist, None if at is None else datetime.fromisoformat(at), only)

    def keep_parameters(self, raw: Any, at: datetime | None) -> None:
        """Keep a set that `read_parameters` has accepted."""
        given = ParameterSet.model_validate(raw).model_dump(mode="json")
        self._write(PARAMETERS_FILE, {"set": given, "confirmed_at": None if at is None else at.isoformat()})

    def keep_hotlist(self, hotlist: Hotlist) -> None:
        """Keep the hotlist."""
        self._write(HOTLIST_FILE, {"version": hotlist.version, "pans": sorted(hotlist.pans)})

    def confirm(self, at: datetime) -> None:
        """The office says that what is kept still holds."""
        body = self._read(PARAMETERS_FILE)
        if body is not None:
            self._write(PARAMETERS_FILE, body | {"confirmed_at": at.isoformat()})

    def _write(self, name: str, body: dict[str, Any]) -> None:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        head = f"citycard {FORMAT} {crc32(text):08x}\n".encode()
        self._store.replace(name, head + text)

    def _read(self, name: str) -> dict[str, Any] | None:
        raw = self._store.read(name)
        if raw is None:
            return None
        head, _, text = raw.partition(b"\n")
        if head != f"citycard {FORMAT} {crc32(text):08x}".encode():
            raise PARAMETERS_DAMAGED(name=name)
        body: dict[str, Any] = json.loads(text)
        return body


def confirmed(parameters: Parameters, at: datetime) -> Parameters:
    """The same parameters, confirmed at a moment."""
    return replace(parameters, confirmed_at=at)
