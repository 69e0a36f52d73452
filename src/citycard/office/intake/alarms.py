# SPDX-License-Identifier: Apache-2.0
"""Raises alarms: one row per event, however often the event is reported."""

from __future__ import annotations

from typing import Any, Final

from django.db import transaction
from django.db.models import F

from citycard.office import clock
from citycard.office.intake.models import Alarm

BATCH_CONFLICT: Final = "BATCH_CONFLICT"  # a batch number came again with other content
BATCH_MAC: Final = "BATCH_MAC"  # a terminal's own token, but not its key
SAM_STOLEN: Final = "SAM_STOLEN"  # a batch closed after its terminal's security module was reported stolen
LOAD_CONFLICT: Final = "LOAD_CONFLICT"  # a load given up that the card proves, or proven with other values
LOAD_BY_LOG: Final = "LOAD_BY_LOG"  # a load posted without a TAC: only the card's log still tells of it
LOAD_UNKNOWN: Final = "LOAD_UNKNOWN"  # a proven load that this office never gave a MAC for
LEDGER_SUSPENSE: Final = "LEDGER_SUSPENSE"  # proven purchases beyond what the card's account holds
POSITION_LIMIT: Final = "POSITION_LIMIT"  # more is open with a participant than its terms allow
DEPOSIT_SHORT: Final = "DEPOSIT_SHORT"  # less guarantee deposit than the terms ask for
PAYMENT_RETURNED: Final = "PAYMENT_RETURNED"  # the bank gave a payment back
PAYMENT_CONTRADICTED: Final = (
    "PAYMENT_CONTRADICTED"  # the bank reported one thing of a payment and did another
)
STATEMENT_OTHERWISE: Final = "STATEMENT_OTHERWISE"  # a bank statement came again with other content


def raise_alarm(code: str, subject: str, event: str, **detail: Any) -> None:
    """Record an alarm about a subject; the same event again only counts."""
    key = f"{code}:{subject}:{event}"[:200]
    with transaction.atomic():
        _, new = Alarm.objects.get_or_create(
            key=key,
            defaults={"code": code, "subject": subject[:64], "detail": detail, "raised_at": clock.now()},
        )
        if not new:
            Alarm.objects.filter(key=key).update(seen=F("seen") + 1)
