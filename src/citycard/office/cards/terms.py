# SPDX-License-Identifier: Apache-2.0
"""The terms on which cards are issued: deposit, fees, waiting periods, limits. Configuration, not code.

They are the scheme setting `card_terms`, a JSON object with any of the fields below; absent ones keep their
default, unknown ones are refused so that a typing error does not silently change what people pay.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from citycard.core.money import check_fen
from citycard.core.problem import declare
from citycard.office.participants.models import SchemeSetting

SETTING: Final = "card_terms"
PRODUCTS: Final = "products"  # what issuers sell: deposit and validity by issuer and card class
VALID_YEARS: Final = 10

CARD_TERMS = declare(
    "CARD_TERMS",
    "The scheme setting card_terms is wrong: {why}. Known terms: {known}.",
    "方案设置 card_terms 有误：{why}。可用项：{known}。",
)


@dataclass(frozen=True, slots=True)
class Terms:
    """Amounts in fen, periods in days, ages in years."""

    deposit_fen: int = 2000
    issue_fee_fen: int = 0
    loss_fee_fen: int = 0
    replace_fee_fen: int = 1000
    refund_fee_fen: int = 0
    wait_days: int = 7  # between withdrawal and payout: as long as clearing accepts late records
    second_above_fen: int = 20_000  # a payout above this needs a second person
    bind_level: int = 1  # a holder's least verification level
    concession_level: int = 2  # the same for a card of a class other than ordinary
    minor_below: int = 16
    adult_from: int = 18
    guardian_level: int = 2
    cards_per_holder: int = 5

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check_fen(value, name)


def current() -> Terms:
    """The scheme's terms; the defaults while it has set none; CARD_TERMS when they cannot be read."""
    setting = SchemeSetting.objects.filter(key=SETTING).first()
    return of(setting.value if setting else {})


@dataclass(frozen=True, slots=True)
class Product:
    """What a card of a class costs and how long it is valid."""

    deposit_fen: int
    valid_years: int = VALID_YEARS


def products() -> dict[tuple[str, int], Product]:
    """What issuers sell, by issuer and card class; a card of no product costs the terms' deposit."""
    setting = SchemeSetting.objects.filter(key=PRODUCTS).first()
    return {
        (row["issuer"], row["card_class"]): Product(row["deposit_fen"], row["valid_years"])
        for row in (setting.value if setting else [])
    }


def of(values: Any) -> Terms:
    """Terms from a JSON object; CARD_TERMS on an unknown term or a value that is no whole number."""
    known = [field.name for field in fields(Terms)]
    try:
        return Terms(**values)
    except (TypeError, ValueError) as error:
        raise CARD_TERMS(why=error, known=", ".join(known)) from None
