# SPDX-License-Identifier: Apache-2.0
"""Who we are in the exchange and who the others are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

from django.db import transaction

from citycard.core.interop.evidence import AWAY
from citycard.core.interop.money import Rate
from citycard.core.problem import declare
from citycard.office import audit, clock, ledger
from citycard.office.intake.business import business_date
from citycard.office.ledger import chart
from citycard.office.participants.models import Contract, Participant, SchemeSetting
from citycard.office.partners import keyring
from citycard.office.partners.keyring import FOR_EVER, signing_key, use_key
from citycard.office.partners.models import ExchangeRate, Member, PartnerIssuer

SETTING: Final = "exchange"
PARTNER: Final = "partner"
ISSUER, ACQUIRER, HUB = "issuer", "acquirer", "hub"

EXCHANGE_UNSET = declare(
    "EXCHANGE_UNSET",
    "This office takes no part in the exchange yet. Run `citycard partners init`.",
    "本后台尚未加入互联互通。请运行 `citycard partners init`。",
)
MEMBER_UNKNOWN = declare(
    "MEMBER_UNKNOWN",
    "{org} is no active member of the exchange. Add it with `citycard partners member`.",
    "{org} 不是互联互通的有效成员。请用 `citycard partners member` 添加。",
)

COMPANY_TAKEN = declare(
    "COMPANY_TAKEN",
    "Company code {company} is member {member}'s; issuer {issuer} needs one of its own member.",
    "公司代码 {company} 属于成员 {member}，发卡机构 {issuer} 须使用其所属成员的公司代码。",
)


@dataclass(frozen=True, slots=True)
class Own:
    """Our organisation code, the hub's, and whether we are it."""

    org: str
    hub: str

    @property
    def is_hub(self) -> bool:
        """Whether this office is the hub."""
        return self.org == self.hub


def own() -> Own:
    """Who we are; EXCHANGE_UNSET."""
    value = SchemeSetting.objects.filter(key=SETTING).values_list("value", flat=True).first()
    if value is None:
        raise EXCHANGE_UNSET()
    return Own(value["org"], value["hub"])


def takes_part() -> bool:
    """Whether this office takes part in the exchange at all."""
    return SchemeSetting.objects.filter(key=SETTING).exists()


def member(org: str) -> Member:
    """An active member; MEMBER_UNKNOWN."""
    found = Member.objects.filter(pk=org, active=True).first()
    if found is None:
        raise MEMBER_UNKNOWN(org=org)
    return found


def others() -> list[Member]:
    """All active members but ourselves; for all but the hub that is the hub alone."""
    us = own()
    found = Member.objects.filter(active=True).exclude(pk=us.org)
    return list(found if us.is_hub else found.filter(pk=us.hub))


@transaction.atomic
def join(org: str, hub: str, by: str = "setup") -> None:
    """Take part as `org` under a hub; again with the same says nothing new."""
    value = {"org": org, "hub": hub}
    SchemeSetting.objects.update_or_create(key=SETTING, defaults={"value": value})
    for issuer in Participant.objects.filter(active=True):
        if ISSUER in issuer.roles:
            _contract_away(issuer.pk)
    audit.record(by, "join_exchange", org, hub=hub)


def _contract_away(issuer: str) -> None:
    """The contract under which our clearing takes taps in other cities: the money has moved already."""
    terms = {
        "service": AWAY,
        "acquirer_id": issuer,
        "issuer_id": issuer,
        "valid_from": FOR_EVER,
        "charge_bp": 0,
        "acquirer_bp": 0,
        "issuer_bp": 0,
        "concession_payer": ACQUIRER,
        "transfer_payer": ACQUIRER,
    }
    Contract.objects.get_or_create(contract=f"away-{issuer}", defaults=terms)


@transaction.atomic
def add_member(
    org: str, by: str = "setup", public_key: str = "", algorithm: str = "", **fields: Any
) -> Member:
    """Add a member or change what is known of it; its position account is opened.

    A public key given here is its only one from now on; `keyring.add_key` adds one beside others. PUBLIC_KEY.
    """
    made, _ = Member.objects.update_or_create(org=org, defaults=fields)
    Participant.objects.get_or_create(
        id=made.participant,
        defaults={"name_en": made.name_en, "name_zh": made.name_zh, "roles": [PARTNER]},
    )
    ledger.open_accounts([chart.position(made.participant), chart.BANK])
    told = {name: value for name, value in fields.items() if name != "token_hash"}
    audit.record(by, "exchange_member", org, **told)
    if public_key:
        keyring.only_key(org, public_key, algorithm, by)
    return made


def add_issuer(issuer: str, org: str, by: str = "setup", **fields: Any) -> PartnerIssuer:
    """Put an issuer of a member on the white list; a member may answer for several. COMPANY_TAKEN.

    Positions are kept by company code (`issuer_org`), the member's own where none is given.
    """
    company = fields.setdefault("issuer_org", org)
    others = PartnerIssuer.objects.filter(issuer_org=company).exclude(pk=issuer).exclude(member_id=org)
    whose = others.values_list("member_id", flat=True).first()
    if whose is None:
        whose = Member.objects.filter(pk=company).exclude(pk=org).values_list("org", flat=True).first()
    if whose is not None:
        raise COMPANY_TAKEN(company=company, member=whose, issuer=issuer)
    return keep_issuer(issuer, org, by, **fields)


def keep_issuer(issuer: str, org: str, by: str, **fields: Any) -> PartnerIssuer:
    """Keep a row of the white list as the hub tells it, who has looked at it."""
    fields.setdefault("valid_from", FOR_EVER)
    made, _ = PartnerIssuer.objects.update_or_create(issuer=issuer, defaults={"member_id": org, **fields})
    audit.record(by, "exchange_issuer", issuer, member=org, accepted=made.accepted)
    if takes_part() and org == own().org and Participant.objects.filter(pk=issuer).exists():
        _contract_away(issuer)
    return made


def own_issuers() -> dict[str, str]:
    """The issuers this office answers for, in hex, with their company codes; ours for one not on the list."""
    us = own()
    found = {one.pk: us.org for one in Participant.objects.all() if ISSUER in one.roles}
    listed = PartnerIssuer.objects.filter(member_id=us.org, pk__in=found)
    return found | dict(listed.values_list("issuer", "issuer_org"))


def company_of(issuer: str) -> str:
    """The company code of an issuer on the white list; ours for any other."""
    known = PartnerIssuer.objects.filter(pk=issuer).values_list("issuer_org", flat=True).first()
    return known or own().org


def rates() -> list[Rate]:
    """The hub's contract as values."""
    columns = (
        *("name", "charge_bp", "acquirer_bp", "issuer_bp"),
        *("valid_from", "valid_until", "acquirer", "issuer", "mcc"),
    )
    return [Rate(*row) for row in ExchangeRate.objects.order_by("name").values_list(*columns)]


@transaction.atomic
def set_rate(rate: Rate, by: str = "setup") -> None:
    """Add a row to the hub's contract or change it; what was cleared under it stays as it was booked."""
    values = asdict(rate)
    name = values.pop("name")
    ExchangeRate.objects.update_or_create(name=name, defaults=values)
    told = {key: value.isoformat() if isinstance(value, date) else value for key, value in values.items()}
    audit.record(by, "exchange_rate", name, **told)


def accepted_issuers(today: date) -> list[str]:
    """Issuers of other members whose cards our terminals accept today, in hex."""
    if not takes_part():
        return []
    us = own()
    rows = PartnerIssuer.objects.filter(accepted=True, member__active=True, valid_from__lte=today)
    rows = rows.exclude(valid_until__lt=today).exclude(member_id=us.org)
    return sorted(rows.values_list("issuer", flat=True))


def today() -> date:
    """The business date now."""
    return business_date(clock.now())


__all__ = [
    "ACQUIRER", "FOR_EVER", "HUB", "ISSUER", "PARTNER", "Own", "accepted_issuers", "add_issuer", "add_member",
    "company_of", "join", "keep_issuer", "member", "others", "own", "own_issuers", "rates", "set_rate",
    "signing_key", "takes_part", "today", "use_key",
]  # fmt: skip
