# SPDX-License-Identifier: Apache-2.0
"""Card orders (订卡): an order file, read and checked, reserves numbers; the same order twice is one order.

JSON, or CSV with one line of cards a row and the columns named below. Both say the same:

    {"format": 1, "order": "2026-001", "issuer": "02009900ffffffff", "profile": "t-union",
     "algorithm": "3DES", "province": "9900", "city": "9901",
     "lines": [{"card_class": 1, "count": 500, "valid_from": "2026-04-01", "valid_until": "2036-03-31"}]}
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from django.db import transaction
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from citycard.core.card.profiles import PROFILES
from citycard.core.crypto import suite_named
from citycard.core.problem import declare
from citycard.office import clock
from citycard.office.cards import personalise
from citycard.office.issuing.models import CardOrder, OrderedCard
from citycard.office.staff.roles import Actor

FORMAT: Final = 1
SHARED: Final = ("order", "issuer", "profile", "algorithm", "province", "city")  # CSV: the same in each row
OWN: Final = ("card_class", "count", "valid_from", "valid_until")
FILE_MAX: Final = 1 << 20

ORDER_FILE = declare(
    "ORDER_FILE",
    "The order {path} is not valid at {where}: {why}. Nothing was ordered; correct the file.",
    "订单 {path} 在 {where} 处无效：{why}。未订卡，请更正文件。",
)
ORDER_CHANGED = declare(
    "ORDER_CHANGED",
    "An order called {order} was placed before with other content. Give a new order a name of its own.",
    "名为 {order} 的订单此前已以不同内容登记；请为新订单另取名称。",
)

Digits4 = Annotated[str, Field(pattern=r"^[0-9]{4}$")]


class Line(BaseModel):
    """So many cards of a kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    card_class: Annotated[int, Field(ge=1, le=255)] = 1
    count: Annotated[int, Field(ge=1, le=personalise.ORDER_MAX)]
    valid_from: date | None = None
    valid_until: date | None = None


class Order(BaseModel):
    """What an order file says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = FORMAT
    order: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
    issuer: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    profile: str = "t-union"
    algorithm: Literal["3DES", "SM4"] = "3DES"
    province: Digits4 = "0000"
    city: Digits4 = "0000"
    lines: Annotated[tuple[Line, ...], Field(min_length=1)]

    @property
    def digest(self) -> str:
        """Over all that it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def read_order(path: Path) -> Order:
    """The order in a file. ORDER_FILE names the place at fault."""
    try:
        raw = path.read_bytes()[:FILE_MAX].decode("utf-8-sig")
    except OSError as error:
        raise ORDER_FILE(path=path, where="the file", why=error.strerror) from None
    except UnicodeDecodeError:
        raise ORDER_FILE(path=path, where="the file", why="it is no UTF-8 text") from None
    said = _from_csv(raw, path) if path.suffix.lower() == ".csv" else _from_json(raw, path)
    try:
        order = Order.model_validate(said)
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise ORDER_FILE(path=path, where=where, why=first["msg"]) from None
    if order.profile not in PROFILES:
        raise ORDER_FILE(path=path, where="profile", why=f"the profiles are {', '.join(PROFILES)}")
    if sum(line.count for line in order.lines) > personalise.ORDER_MAX:
        raise ORDER_FILE(path=path, where="lines", why=f"more than {personalise.ORDER_MAX} cards")
    return order


@transaction.atomic
def place(order: Order, by: Actor) -> CardOrder:
    """Reserve the numbers; an order placed before is found again. ORDER_CHANGED, and CARD_* of `order`."""
    known = CardOrder.objects.select_for_update().filter(name=order.order).first()
    if known is not None:
        if known.digest != order.digest:
            raise ORDER_CHANGED(order=order.order)
        return known
    cards = []
    for line in order.lines:
        cards += personalise.order(
            order.issuer,
            line.count,
            by,
            card_class=line.card_class,
            valid_from=line.valid_from,
            valid_until=line.valid_until,
            profile=order.profile,
        )
    placed = CardOrder.objects.create(
        name=order.order,
        digest=order.digest,
        issuer_id=order.issuer,
        profile=order.profile,
        algorithm=suite_named(order.algorithm).id,
        province=order.province,
        city=order.city,
        count=len(cards),
        ordered_at=clock.now(),
        ordered_by=by.name,
    )
    OrderedCard.objects.bulk_create(
        OrderedCard(card=card, order=placed, place=number) for number, card in enumerate(cards, 1)
    )
    return placed


def _from_json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ORDER_FILE(path=path, where="the top level", why=f"it is no JSON ({error})") from None


def _from_csv(text: str, path: Path) -> dict[str, Any]:
    """One order of rows: the shared columns of the first row hold for all."""
    reader = csv.DictReader(io.StringIO(text))
    unknown = set(reader.fieldnames or ()) - {*SHARED, *OWN}
    if unknown:
        raise ORDER_FILE(
            path=path, where="line 1", why=f"unknown columns {', '.join(sorted(map(str, unknown)))}"
        )
    said: dict[str, Any] = {}
    lines = []
    for number, row in enumerate(reader, 2):
        given = {name: value for name, value in row.items() if value}
        shared = {name: given[name] for name in SHARED if name in given}
        if None in row or (said and said != shared):
            raise ORDER_FILE(
                path=path, where=f"line {number}", why="it does not belong to the rows before it"
            )
        said = shared
        lines.append({name: given[name] for name in OWN if name in given})
    return said | {"lines": lines}
