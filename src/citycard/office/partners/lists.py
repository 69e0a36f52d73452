# SPDX-License-Identifier: Apache-2.0
"""Lists that go round: processed files (LD), members (IN), the white list of issuers (BN), codes (ER).

The hub's word on members and issuers is taken as it is; keys, tokens and addresses never travel in files.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from django.db import transaction

from citycard.core.interop import codes
from citycard.core.interop.files import FileName
from citycard.core.problem import declare
from citycard.office.intake import alarms
from citycard.office.partners import desk, outbox
from citycard.office.partners.models import ExchangeFile, Member, PartnerIssuer

MISHEARD: Final = "EXCHANGE_MISHEARD"
NOT_FROM_THE_HUB = declare(
    "NOT_FROM_THE_HUB",
    "File {name} is for the hub to send, it came from {sender}.",
    "文件 {name} 应由清算中心发送，实际来自 {sender}。",
)


def take_processed(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """LD: what the member has of our files. Missing ones and those not acknowledged are sent again."""
    us = desk.own()
    ours = ExchangeFile.objects.filter(sender=us.org, receiver=sender.org, control=False)
    newest = Member.objects.get(pk=sender.pk).acknowledged
    missing = []
    for row in records:
        if row["state"] == "taken":
            known = ours.filter(sequence=row["sequence"]).first()
            if known is None or known.digest != row["digest"]:
                alarms.raise_alarm(MISHEARD, sender.org, f"{row['sequence']}:{row['digest']}", **_plain(row))
                continue
            newest = max(newest, row["sequence"])
        else:
            missing.append(row["sequence"])
    Member.objects.filter(pk=sender.pk).update(acknowledged=newest)
    stale = ours.filter(
        sequence__gt=newest, delivered_at__isnull=False, business_date__lte=name.business_date
    )
    outbox.again(sender, [*missing, *stale.values_list("sequence", flat=True)])


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {"sequence": row["sequence"], "digest": row["digest"]}


@transaction.atomic
def publish(on: date) -> None:
    """The hub tells every member who takes part, whose cards are accepted, and what the codes mean."""
    members = [
        {"member_org": one.org, "participant": one.participant, "roles": " ".join(one.roles),
         "active": int(one.active), "name_en": one.name_en[:40], "name_zh": one.name_zh[:20]}
        for one in Member.objects.all()
    ]  # fmt: skip
    issuers = [
        {"issuer": one.issuer, "issuer_org": one.issuer_org, "member_org": one.member_id,
         "pan_prefix": one.pan_prefix, "accepted": int(one.accepted), "valid_from": one.valid_from,
         "valid_until": one.valid_until, "name_en": one.name_en[:40], "name_zh": one.name_zh[:20]}
        for one in PartnerIssuer.objects.all()
    ]  # fmt: skip
    errors = [{"error": code, "en": en[:60], "zh": zh[:30]} for code, (en, zh) in codes.ERRORS.items()]
    for to in desk.others():
        outbox.send("IN", to, members, on)
        outbox.send("BN", to, issuers, on)
        outbox.send("ER", to, errors, on)


def take_members(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """IN: names and roles of members; one we do not know is added, without key or address."""
    _from_hub(sender, name)
    for row in records:
        told = {key: row[key] for key in ("participant", "name_en", "name_zh")}
        more = {"roles": row["roles"].split(), "active": bool(row["active"])}
        desk.add_member(row["member_org"], by=sender.org, **told, **more)


def take_issuers(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """BN: the white list as it now is; an issuer that is not on it any more is not accepted any more."""
    _from_hub(sender, name)
    for row in records:
        told = {key: row[key] for key in ("issuer_org", "pan_prefix", "valid_from", "valid_until", "name_en",
                                          "name_zh")}  # fmt: skip
        desk.keep_issuer(row["issuer"], row["member_org"], sender.org, accepted=bool(row["accepted"]), **told)
    PartnerIssuer.objects.exclude(pk__in=[row["issuer"] for row in records]).update(accepted=False)


def take_errors(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """ER: codes the hub may answer; one we have no words for is an alarm, so that somebody adds them."""
    _from_hub(sender, name)
    for row in records:
        if row["error"] not in codes.ERRORS:
            alarms.raise_alarm("EXCHANGE_CODE", row["error"], row["en"], en=row["en"], zh=row["zh"])


def _from_hub(sender: Member, name: FileName) -> None:
    if sender.org != desk.own().hub:
        raise NOT_FROM_THE_HUB(name=name, sender=sender.org)
