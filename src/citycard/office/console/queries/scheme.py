# SPDX-License-Identifier: Apache-2.0
"""The scheme as people read it: participants, tariffs in words, contracts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from citycard.core import fees, volume
from citycard.core.money import yuan
from citycard.office.console import labels
from citycard.office.console.access import Text
from citycard.office.console.queries.months import tier_words
from citycard.office.console.queries.names import names, participants
from citycard.office.console.wording import Block, blocks
from citycard.office.participants.models import Contract, Line, Participant, Tariff, Terminal


@dataclass(frozen=True, slots=True)
class TariffView:
    """A version of a service's tariff, readable."""

    service: str
    version: int
    valid_from: date
    in_force: bool
    parts: list[Block]


def tariffs(today: date) -> list[TariffView]:
    """All tariffs, by service, newest version first; says which one is in force."""
    rows = list(Tariff.objects.order_by("service", "-valid_from", "-version"))
    force: dict[int, int] = {}
    for row in rows:
        if row.valid_from <= today:
            force.setdefault(row.service, row.pk)
    known = names()
    return [
        TariffView(
            labels.service(row.service),
            row.version,
            row.valid_from,
            force.get(row.service) == row.pk,
            blocks(row.config, known),
        )
        for row in rows
    ]


def contracts() -> list[dict[str, Any]]:
    """Contracts with names."""
    known = participants()
    payers = {"acquirer": _("the acquirer"), "issuer": _("the issuer")}
    anyone = _("any")
    return [
        {
            "row": row,
            "service": labels.service(row.service),
            "acquirer": known.get(row.acquirer_id or "", row.acquirer_id or anyone),
            "issuer": known.get(row.issuer_id or "", row.issuer_id or anyone),
            **_parts(row),
            "extras": _extras(row),
            "concession_payer": payers.get(
                row.concession_payer, known.get(row.concession_payer, row.concession_payer)
            ),
            "transfer_payer": payers.get(
                row.transfer_payer, known.get(row.transfer_payer, row.transfer_payer)
            ),
        }
        for row in Contract.objects.order_by("service", "contract", "valid_from")
    ]


def _parts(row: Contract) -> dict[str, Any]:
    """How the fee is divided: parts of the amount, or of the fee where the contract says so."""
    whole, acquirer, issuer = fees.parts(row.terms)
    of_fee = row.fee_acquirer_bp is not None or row.fee_issuer_bp is not None
    if not of_fee and not row.charge_bp:
        whole = acquirer = issuer = 0
    scheme = whole - acquirer - issuer
    return {"acquirer_bp": acquirer, "issuer_bp": issuer, "scheme_bp": scheme, "of_fee": of_fee}


def _extras(row: Contract) -> list[str]:
    """Fixed, least and largest fees and steps in words."""
    told = []
    if row.fixed_fen:
        told.append(_("plus %(yuan)s") % {"yuan": yuan(row.fixed_fen)})
    if row.min_fen:
        told.append(_("at least %(yuan)s") % {"yuan": yuan(row.min_fen)})
    if row.max_fen is not None:
        told.append(_("at most %(yuan)s") % {"yuan": yuan(row.max_fen)})
    for up_to, bp, fixed in fees.parse_steps(row.steps):
        words = {"amount": yuan(up_to), "rate": f"{bp / 100:.2f} %", "fixed": yuan(fixed)}
        told.append(_("up to %(amount)s: %(rate)s plus %(fixed)s") % words)
    for tier in volume.parse_tiers(row.volume_tiers):
        told.append(str(tier_words(str(tier), row.volume_by)))
    return told


def members() -> list[dict[str, Any]]:
    """Participants with roles in words and how many lines and terminals each has."""
    terminals = Counter(Terminal.objects.order_by().values_list("acquirer", flat=True))
    lines = Counter(Line.objects.order_by().values_list("operator", flat=True))
    return [
        {
            "row": row,
            "roles": _roles(row),
            "terminals": terminals[row.id],
            "lines": lines[row.id],
        }
        for row in Participant.objects.order_by("id")
    ]


def _roles(row: Participant) -> list[Text]:
    return [labels.ROLES.get(role, role) for role in row.roles]
