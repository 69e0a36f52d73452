# SPDX-License-Identifier: Apache-2.0
"""Loads a blueprint into the office: participants, lines, terminals, tariffs, contracts, settings, accounts.

Loading again changes what the scheme says and nothing else: tokens and health of terminals, people, cards
and money stay. A tariff version that is in the database never changes, for taps were priced with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from django.db import models, transaction

from citycard.blueprints import Scheme
from citycard.core.problem import declare
from citycard.office import audit, ledger
from citycard.office.bank.models import BankAccount
from citycard.office.cards import money, terms
from citycard.office.participants.models import (
    Contract,
    Line,
    Participant,
    SchemeSetting,
    SettlementTerms,
    Station,
    Tariff,
    Terminal,
)
from citycard.office.participants.workdays import SETTING as WORKDAYS
from citycard.services import service_named
from citycard.services.concession import CLASS_CODES

ROWS: Final = 200  # rows of one insert: SQLite takes a limited number of parameters

SCHEME_TARIFF_CHANGED = declare(
    "SCHEME_TARIFF_CHANGED",
    "Version {version} of the {service} tariff is already in use with other content. "
    "Give the changed tariff a new version and a day from which it is valid.",
    "{service} 票价第 {version} 版已在使用且内容不同。请为修改后的票价使用新版本号并设定生效日期。",
)


@transaction.atomic
def install_scheme(scheme: Scheme, by: str = "setup") -> dict[str, int]:
    """Load a scheme; returns how many of each it has. SCHEME_TARIFF_CHANGED changes nothing."""
    counts = {
        "participants": _upsert(Participant, _participants(scheme), ("id",)),
        "lines": _upsert(Line, _lines(scheme), ("number",)),
        "stations": _upsert(Station, _stations(scheme), ("line", "number")),
        "terminals": _upsert(Terminal, _terminals(scheme), ("id",)),
        "contracts": _upsert(Contract, _contracts(scheme), ("contract",)),
        "tariffs": _tariffs(scheme),
        "settings": _upsert(SchemeSetting, _settings(scheme), ("key",)),
    }
    # accounts and terms change in the office: the file only gives those that are not there yet
    BankAccount.objects.bulk_create(_bank_accounts(scheme), ignore_conflicts=True)
    SettlementTerms.objects.bulk_create(_terms(scheme), ignore_conflicts=True)
    accounts = [f"position:{one.id}" for one in scheme.participants] + ["bank:settlement"]
    for issuer in scheme.issuers:
        accounts += money.issuer_accounts(issuer.id)
    ledger.open_accounts(accounts)
    audit.record(by, "install_scheme", scheme.name, **counts)
    return counts


def _participants(scheme: Scheme) -> Iterable[dict[str, Any]]:
    for one in scheme.participants:
        yield {
            "id": one.id,
            "name_en": one.name_en,
            "name_zh": one.name_zh,
            "roles": list(one.roles),
            "pan_prefix": one.pan_prefix or "",
        }


def _bank_accounts(scheme: Scheme) -> Iterable[BankAccount]:
    for one in scheme.participants:
        if one.bank_account is not None:
            yield BankAccount(participant_id=one.id, **dict(one.bank_account))


def _terms(scheme: Scheme) -> Iterable[SettlementTerms]:
    for one in scheme.participants:
        if one.settlement is not None:
            yield SettlementTerms(participant_id=one.id, **dict(one.settlement))


def _lines(scheme: Scheme) -> Iterable[dict[str, Any]]:
    for line in scheme.lines:
        yield {
            "number": line.number,
            "service": service_named(line.service).code,
            "operator_id": scheme.operators[line.number],
            "name_en": line.name_en,
            "name_zh": line.name_zh,
        }


def _stations(scheme: Scheme) -> Iterable[dict[str, Any]]:
    for line in scheme.lines:
        for stop in line.stations:
            yield {
                "line_id": line.number,
                "number": stop.number,
                "name_en": stop.name_en,
                "name_zh": stop.name_zh,
                "km_m": stop.at_m,
            }


def _terminals(scheme: Scheme) -> Iterable[dict[str, Any]]:
    for plan in scheme.terminal_plans:
        yield {
            "id": plan.id,
            "acquirer_id": plan.acquirer,
            "service": plan.service,
            "line": plan.line,
            "station": plan.station,
            "name": f"{plan.name_en} {plan.name_zh}"[:80],
        }


def _contracts(scheme: Scheme) -> Iterable[dict[str, Any]]:
    for row, contract in zip(scheme.contract_rows(), scheme.contracts, strict=True):
        fields = row | {"volume_by": contract.volume_by, "volume_tiers": contract.tiers_text or None}
        for name in ("acquirer", "issuer"):
            fields[f"{name}_id"] = fields.pop(name)
        yield fields


def _settings(scheme: Scheme) -> Iterable[dict[str, Any]]:
    yield {"key": "scheme", "value": {"name": scheme.name, "title_en": scheme.title_en, "city": scheme.city,
                                      "title_zh": scheme.title_zh}}  # fmt: skip
    accounting = scheme.accounting
    cut_off = accounting.cut_off.isoformat("minutes")
    yield {"key": "calendar", "value": {"cut_off": cut_off, "late_days": accounting.late_days}}
    yield {"key": "limits", "value": scheme.limits.to_plain()}
    yield {"key": terms.PRODUCTS, "value": [
        {
            "issuer": scheme.participant(product.issuer).id,
            "card_class": CLASS_CODES[product.card_class],
            "name_en": product.name_en,
            "name_zh": product.name_zh,
            "deposit_fen": product.deposit_fen,
            "valid_years": product.valid_years,
        }
        for product in scheme.products
    ]}  # fmt: skip
    yield {"key": WORKDAYS, "value": json.loads(scheme.workdays.model_dump_json())}
    if not SchemeSetting.objects.filter(key=terms.SETTING).exists():  # the office may have set its own
        yield {"key": terms.SETTING, "value": {"wait_days": accounting.late_days}}


def _tariffs(scheme: Scheme) -> int:
    for tariff in scheme.priced:
        plain = tariff.config.to_plain()
        row, made = Tariff.objects.get_or_create(
            service=tariff.service,
            version=tariff.version,
            defaults={"valid_from": tariff.valid_from, "config": plain},
        )
        if not made and (row.config != plain or row.valid_from != tariff.valid_from):
            raise SCHEME_TARIFF_CHANGED(service=service_named(tariff.service).name, version=tariff.version)
    return len(scheme.priced)


def _upsert(model: type[models.Model], rows: Iterable[dict[str, Any]], unique: tuple[str, ...]) -> int:
    """Insert rows, or update the named fields of those that are there; columns not named stay."""
    made = list(rows)
    if not made:
        return 0
    keys = {model._meta.get_field(name).attname for name in unique}  # type: ignore[union-attr]
    model._default_manager.bulk_create(
        [model(**row) for row in made],
        update_conflicts=True,
        unique_fields=list(unique),
        update_fields=[name for name in made[0] if name not in keys],
        batch_size=ROWS,
    )
    return len(made)
