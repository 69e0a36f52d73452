# SPDX-License-Identifier: Apache-2.0
"""What every tariff is made of: strict, frozen models that survive a trip through JSON unchanged.

A tariff is configuration. It is written in TOML or JSON, kept as JSON by the office, sent as JSON to the
terminals and read there into the same model. Unknown keys, wrong types and contradictions are refused with
the place and the remedy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, time
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from citycard.core.problem import declare

TARIFF_INVALID = declare(
    "TARIFF_INVALID",
    "{what} is not valid at {where}: {why}. Correct that entry and load it again.",
    "{what} 的 {where} 处无效：{why}。请修正后重新加载。",
)

Fen = Annotated[int, Field(ge=0, le=100_000_000)]  # no single price is above a million yuan
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]
Minutes = Annotated[int, Field(ge=0, le=7 * 24 * 60)]
Seconds = Annotated[int, Field(ge=0, le=24 * 3600)]
LineNumber = Annotated[int, Field(ge=0, le=0xFFFF)]
StationNumber = Annotated[int, Field(ge=0, le=0xFFFF)]


class Config(BaseModel):
    """A piece of configuration: frozen, strict, nothing unknown in it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], what: str = "the tariff") -> Self:
        """The model in plain values (as JSON or TOML give them); raises the problem `TARIFF_INVALID`."""
        try:
            return cls.model_validate_json(json.dumps(plain, default=_plain))
        except ValidationError as fault:
            where, why = explain(fault)
            raise TARIFF_INVALID(what=what, where=where, why=why) from None

    def to_plain(self) -> dict[str, Any]:
        """Plain values that JSON can hold and `from_plain` reads back to an equal model."""
        return self.model_dump(mode="json")


def explain(fault: ValidationError) -> tuple[str, str]:
    """Where the first fault lies (a dotted path, from `[0]` counted list items) and what it is."""
    errors = fault.errors(include_url=False)
    first = errors[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    why = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        why = "this key is unknown"
    elif first["type"] == "missing":
        why = "this key is missing"
    elif isinstance(first.get("input"), str | int | float | bool):
        why = f"{why}, not {first['input']!r}"
    if len(errors) > 1:
        why = f"{why} (and {len(errors) - 1} more)"
    return where or "the top level", why


def _plain(value: object) -> str:
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no plain value")
