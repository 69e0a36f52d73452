# SPDX-License-Identifier: Apache-2.0
"""Bank accounts, payment orders and the files they travel in, statements of the bank and their entries."""

from __future__ import annotations

from typing import Final

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from citycard.office.participants.models import Participant
from citycard.office.settlement.models import Payment

ACCOUNT_DIGITS_SHOWN: Final = 4


def masked(number: str) -> str:
    """An account number as screens show it."""
    return "*" * max(0, len(number) - ACCOUNT_DIGITS_SHOWN) + number[-ACCOUNT_DIGITS_SHOWN:]


class BankAccount(models.Model):
    """Where a participant is paid and pays from; the scheme's own is the settlement account."""

    participant = models.OneToOneField(
        Participant, models.PROTECT, primary_key=True, related_name="bank_account",
        verbose_name=_("participant"),
    )  # fmt: skip
    holder = models.CharField(_("account holder"), max_length=140)
    number = models.CharField(
        _("account number"), max_length=34, validators=[RegexValidator(r"^[0-9A-Za-z]{5,34}$")]
    )
    bank = models.CharField(
        _("bank"), max_length=28, help_text=_("a BIC, or the bank's code in the national clearing system"),
        validators=[RegexValidator(r"^[0-9A-Z]{8,14}$")],
    )  # fmt: skip
    mandate = models.BooleanField(
        _("direct payment agreed"), default=False,
        help_text=_("payments from it may be ordered; otherwise they are waited for"),
    )  # fmt: skip

    class Meta:
        verbose_name = _("bank account")
        verbose_name_plural = _("bank accounts")
        ordering = ["participant"]

    def __str__(self) -> str:
        return f"{self.participant_id} {self.masked}"

    @property
    def masked(self) -> str:
        """The number but for its last digits."""
        return masked(self.number)


class State(models.TextChoices):
    """How far an order, or a file of orders, has come; `orders.NEXT` says what may follow."""

    HELD = "held", _("held")
    MADE = "made", _("made")
    AWAITED = "awaited", _("awaited")
    SENT = "sent", _("sent")
    EXECUTED = "executed", _("executed")
    REJECTED = "rejected", _("rejected by the bank")


class PaymentFile(models.Model):
    """A file of instructions (pain.001) as it was made; its content is what the bank gets."""

    id = models.CharField(_("message"), max_length=35, primary_key=True)
    settle_on = models.DateField(_("business date"))
    made_at = models.DateTimeField(_("made"))
    made_by = models.CharField(_("made by"), max_length=150)
    content = models.TextField(_("content"))
    orders_count = models.PositiveIntegerField(_("orders"))
    sum_fen = models.PositiveBigIntegerField(_("sum (fen)"))
    validated = models.BooleanField(_("validated against the schema"))
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.MADE)

    class Meta:
        verbose_name = _("payment file")
        verbose_name_plural = _("payment files")
        ordering = ["-made_at", "-id"]

    def __str__(self) -> str:
        return self.id


class PaymentOrder(models.Model):
    """One attempt to have a payment made; a rejected one is followed by another."""

    end_to_end = models.CharField(_("end-to-end id"), max_length=35, primary_key=True)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="orders", verbose_name=_("payment"))
    attempt = models.PositiveSmallIntegerField(_("attempt"))
    file = models.ForeignKey(
        PaymentFile, models.PROTECT, null=True, blank=True, related_name="orders", verbose_name=_("file")
    )
    state = models.CharField(_("state"), max_length=8, choices=State.choices)
    why = models.CharField(_("why"), max_length=200, blank=True, default="")
    told = models.CharField(
        _("the bank's word"), max_length=4, blank=True, default=""
    )  # pain.002: ACSP, RJCT

    class Meta:
        verbose_name = _("payment order")
        verbose_name_plural = _("payment orders")
        ordering = ["-end_to_end"]
        constraints = [models.UniqueConstraint(fields=["payment", "attempt"], name="order_attempt_once")]

    def __str__(self) -> str:
        return self.end_to_end


class BankStatement(models.Model):
    """A statement of the settlement account (camt.053), kept once by the bank's own id."""

    id = models.CharField(_("statement"), max_length=35, primary_key=True)
    digest = models.CharField(_("digest"), max_length=64)
    account = models.CharField(_("account number"), max_length=34)
    ends_on = models.DateField(_("closing date"))
    opening_fen = models.BigIntegerField(_("opening balance (fen)"))
    closing_fen = models.BigIntegerField(_("closing balance (fen)"))
    sequence = models.PositiveBigIntegerField(_("the bank's number"), null=True, blank=True)
    imported_at = models.DateTimeField(_("imported"))
    imported_by = models.CharField(_("imported by"), max_length=150)
    validated = models.BooleanField(_("validated against the schema"))

    class Meta:
        verbose_name = _("bank statement")
        verbose_name_plural = _("bank statements")
        ordering = ["-ends_on", "-imported_at"]

    def __str__(self) -> str:
        return self.id


class BankMessage(models.Model):
    """A notification (camt.054) or a payment status report (pain.002), kept once by the bank's own id."""

    class Kind(models.TextChoices):
        """What it is."""

        NOTICE = "notice", _("notification")
        REPORT = "report", _("status report")

    kind = models.CharField(_("kind"), max_length=6, choices=Kind.choices)
    name = models.CharField(_("message"), max_length=35)
    digest = models.CharField(_("digest"), max_length=64)
    file = models.ForeignKey(
        PaymentFile, models.PROTECT, null=True, blank=True, related_name="reports", verbose_name=_("file")
    )  # a report is about one
    told = models.CharField(_("the bank's word"), max_length=4, blank=True, default="")  # of the whole file
    lines = models.PositiveIntegerField(_("lines"))
    imported_at = models.DateTimeField(_("imported"))
    imported_by = models.CharField(_("imported by"), max_length=150)
    validated = models.BooleanField(_("validated against the schema"))

    class Meta:
        verbose_name = _("message of the bank")
        verbose_name_plural = _("messages of the bank")
        ordering = ["-imported_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["kind", "name"], name="bank_message_once")]

    def __str__(self) -> str:
        return self.name


class Purpose(models.TextChoices):
    """What a movement on the settlement account was for."""

    OPEN = "open", _("not matched")
    ORDER = "order", _("a payment")
    RETURN = "return", _("a payment returned")
    GUARANTEE = "guarantee", _("a guarantee deposit")
    OWN = "own", _("the scheme's own money")


class BankEntry(models.Model):
    """One movement of the bank, and what it was matched with.

    It may be known from a notification first: then it has no statement until the one that holds it comes.
    """

    statement = models.ForeignKey(
        BankStatement, models.PROTECT, null=True, blank=True, related_name="entries",
        verbose_name=_("statement"),
    )  # fmt: skip
    number = models.PositiveIntegerField(_("number"), null=True, blank=True)  # on the statement
    notice = models.ForeignKey(
        BankMessage, models.PROTECT, null=True, blank=True, related_name="entries",
        verbose_name=_("notification"),
    )  # fmt: skip
    notice_number = models.PositiveIntegerField(_("number"), null=True, blank=True)
    noticed = models.BooleanField(_("booked by notification"), default=False)
    credit = models.BooleanField(_("money in"))
    amount_fen = models.PositiveBigIntegerField(_("amount (fen)"))
    reversal = models.BooleanField(_("reversal"), default=False)
    booked_on = models.DateField(_("booked"))
    end_to_end = models.CharField(_("end-to-end id"), max_length=35, blank=True, default="", db_index=True)
    bank_ref = models.CharField(_("bank's reference"), max_length=35, blank=True, default="")
    entry_ref = models.CharField(max_length=35, blank=True, default="", editable=False, db_index=True)
    servicer_ref = models.CharField(max_length=35, blank=True, default="", editable=False, db_index=True)
    text = models.CharField(_("remittance text"), max_length=200, blank=True, default="")
    party = models.CharField(_("other party"), max_length=140, blank=True, default="")
    party_account = models.CharField(_("other account"), max_length=34, blank=True, default="")
    purpose = models.CharField(_("purpose"), max_length=9, choices=Purpose.choices, default=Purpose.OPEN)
    order = models.ForeignKey(
        PaymentOrder, models.PROTECT, null=True, blank=True, related_name="entries", verbose_name=_("order")
    )
    why = models.CharField(_("why not matched"), max_length=24, blank=True, default="")
    matched_by = models.CharField(_("matched by"), max_length=150, blank=True, default="")

    class Meta:
        verbose_name = _("bank entry")
        verbose_name_plural = _("bank entries")
        ordering = ["-booked_on", "statement", "number"]
        constraints = [
            models.UniqueConstraint(fields=["statement", "number"], name="bank_entry_once"),
            models.UniqueConstraint(fields=["notice", "notice_number"], name="bank_entry_noticed_once"),
        ]
        indexes = [models.Index(fields=["purpose", "booked_on"], name="bank_entry_open")]

    def __str__(self) -> str:
        if self.statement_id is None:
            return f"{self.notice} {self.notice_number}"
        return f"{self.statement_id} {self.number}"

    @property
    def signed_fen(self) -> int:
        """Money in is positive."""
        return int(self.amount_fen if self.credit else -self.amount_fen)

    @property
    def party_masked(self) -> str:
        """The other account but for its last digits."""
        return masked(self.party_account)


class TheirPosition(models.Model):
    """What a participant says its position of a date is."""

    settle_on = models.DateField(_("business date"))
    participant = models.ForeignKey(Participant, models.PROTECT, verbose_name=_("participant"))
    net_fen = models.BigIntegerField(_("net (fen)"))
    delivered_at = models.DateTimeField(_("delivered"))

    class Meta:
        verbose_name = _("position as a participant sees it")
        verbose_name_plural = _("positions as participants see them")
        ordering = ["-settle_on", "participant"]
        constraints = [
            models.UniqueConstraint(fields=["settle_on", "participant"], name="their_position_once")
        ]

    def __str__(self) -> str:
        return f"{self.settle_on} {self.participant_id}"
