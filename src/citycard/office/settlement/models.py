# SPDX-License-Identifier: Apache-2.0
"""A settlement run and what it brought: taps, positions, revenue, movements of cards, payments.

A run's row is written last in its transaction: where it stands, all of its rows and postings stand, and its
business date is closed.
"""

from __future__ import annotations

from collections import Counter

from django.db import models
from django.utils.translation import gettext_lazy as _

from citycard.office.ledger.chart import BANK


class SettlementRun(models.Model):
    """One closed business date."""

    settle_on = models.DateField(_("business date"), primary_key=True)
    digest = models.CharField(_("digest of clearing's answer"), max_length=64)
    posted_at = models.DateTimeField(_("posted"))
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)
    taps = models.PositiveIntegerField(_("taps"))
    accepted = models.PositiveIntegerField(_("accepted"))
    suspended = models.PositiveIntegerField(_("suspended"))
    rejected = models.PositiveIntegerField(_("rejected"))
    reasons = models.JSONField(_("records by reason"), default=dict)
    charged_fen = models.PositiveBigIntegerField(_("charged (fen)"))
    loaded_fen = models.PositiveBigIntegerField(_("loaded (fen)"))
    suspense_fen = models.PositiveBigIntegerField(_("in suspense (fen)"))
    volumes_told = models.BooleanField(_("volumes told"), default=False, editable=False)

    class Meta:
        verbose_name = _("settlement run")
        verbose_name_plural = _("settlement runs")
        ordering = ["-settle_on"]

    def __str__(self) -> str:
        return self.settle_on.isoformat()


class _OfRun(models.Model):
    """A row that belongs to a run."""

    run = models.ForeignKey(SettlementRun, models.PROTECT, verbose_name=_("run"))

    class Meta:
        abstract = True


class MonthClosing(_OfRun):
    """Fees of a month made up to what its volume came to; numbers above 1 make up for taps that came late.

    `run` is the newest closed date when it was done: the adjustments are paid with positions of that date.
    """

    month = models.DateField(_("month"), help_text=_("its first day"))
    number = models.PositiveSmallIntegerField(_("number"))
    closed_at = models.DateTimeField(_("closed"))
    by = models.CharField(_("by"), max_length=150)

    class Meta:
        verbose_name = _("closing of a month")
        verbose_name_plural = _("closings of months")
        ordering = ["-month", "-number"]
        constraints = [models.UniqueConstraint(fields=["month", "number"], name="month_closing_once")]

    def __str__(self) -> str:
        return f"{self.value}/{self.number}"

    @property
    def value(self) -> str:
        """The month as addresses write it."""
        return f"{self.month:%Y-%m}"


class _OfClosing(models.Model):
    """A row of a business date, or of a month's closing that was booked on it."""

    closing = models.ForeignKey(
        MonthClosing, models.PROTECT, null=True, blank=True, editable=False, verbose_name=_("closing")
    )

    class Meta:
        abstract = True


class PositionRow(_OfRun, _OfClosing):
    """What a participant is owed and owes on a business date, or by the closing of a month."""

    participant = models.ForeignKey(
        "participants.Participant", models.PROTECT, related_name="positions", verbose_name=_("participant")
    )
    receivable_fen = models.BigIntegerField(_("receivable (fen)"))
    payable_fen = models.BigIntegerField(_("payable (fen)"))
    net_fen = models.BigIntegerField(_("net (fen)"))
    payment = models.ForeignKey(
        "Payment", models.PROTECT, null=True, blank=True, related_name="positions", verbose_name=_("payment")
    )  # the payment that took it; none while it waits for its day, or for more to come

    class Meta:
        verbose_name = _("position")
        verbose_name_plural = _("positions")
        ordering = ["-run", "participant"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "participant"], condition=models.Q(closing=None), name="position_once"
            ),
            models.UniqueConstraint(fields=["closing", "participant"], name="position_once_of_closing"),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.participant_id}"


class RevenueRow(_OfRun, _OfClosing):
    """Why a participant has its position: by service, counterparty and cause."""

    participant = models.ForeignKey(
        "participants.Participant", models.PROTECT, related_name="revenue", verbose_name=_("participant")
    )
    service = models.PositiveSmallIntegerField(_("service"))
    counterparty = models.CharField(_("counterparty"), max_length=16)
    cause = models.CharField(_("cause"), max_length=20)
    taps = models.PositiveIntegerField(_("taps"))
    amount_fen = models.BigIntegerField(_("amount (fen)"))

    class Meta:
        verbose_name = _("revenue")
        verbose_name_plural = _("revenue")
        ordering = ["-run", "participant", "service", "cause"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "participant", "service", "counterparty", "cause"],
                condition=models.Q(closing=None),
                name="revenue_once",
            ),
            models.UniqueConstraint(
                fields=["closing", "participant", "service", "counterparty", "cause"],
                name="revenue_once_of_closing",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.participant_id} {self.cause}"


class _OfContract(models.Model):
    """What a pair did under a contract. Participants are plain ids: a contract may outlive them here."""

    contract = models.CharField(_("contract"), max_length=60)
    service = models.PositiveSmallIntegerField(_("service"), help_text=_("0: loads"))
    acquirer = models.CharField(_("acquirer"), max_length=16)
    issuer = models.CharField(_("issuer"), max_length=16)
    scheme = models.CharField(_("scheme operator"), max_length=16)
    taps = models.PositiveIntegerField(_("taps"))
    amount_fen = models.PositiveBigIntegerField(_("turnover (fen)"))
    issuer_fen = models.BigIntegerField(_("issuer's part (fen)"))
    acquirer_fen = models.BigIntegerField(_("acquirer's part (fen)"))
    scheme_fen = models.BigIntegerField(_("scheme's part (fen)"))

    class Meta:
        abstract = True


class VolumeRow(_OfRun, _OfContract):
    """What a run cleared for a pair under a contract, by the taps' business date, and the fee charged."""

    business_date = models.DateField(_("business date"), db_index=True)

    class Meta:
        verbose_name = _("volume")
        verbose_name_plural = _("volumes")
        ordering = ["-run", "contract", "service", "acquirer", "issuer"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "contract", "service", "acquirer", "issuer", "business_date"],
                name="volume_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.contract} {self.acquirer} {self.issuer}"


class FeeAdjustment(_OfContract):
    """What a month's closing changed for a pair, with all it was worked out from; parts are the change's."""

    closing = models.ForeignKey(
        MonthClosing, models.PROTECT, related_name="adjustments", verbose_name=_("closing")
    )
    terms = models.JSONField(_("terms"))  # of the contract, as they stood when the month was first closed
    tier = models.CharField(_("tier reached"), max_length=60, blank=True)  # empty: the contract's own rate
    charged_fen = models.PositiveBigIntegerField(_("charged day by day (fen)"))
    due_fen = models.PositiveBigIntegerField(_("due (fen)"))
    before_fen = models.BigIntegerField(_("adjusted before (fen)"))
    difference_fen = models.BigIntegerField(_("difference (fen)"))

    class Meta:
        verbose_name = _("fee adjustment")
        verbose_name_plural = _("fee adjustments")
        ordering = ["closing", "contract", "service", "acquirer", "issuer"]
        constraints = [
            models.UniqueConstraint(
                fields=["closing", "contract", "service", "acquirer", "issuer", "scheme"],
                name="fee_adjustment_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.closing} {self.contract} {self.acquirer} {self.issuer}"

    @property
    def payer(self) -> str:
        """Out of whose side the fee is paid: the acquirer's, of top-ups the issuer's."""
        return self.acquirer if self.service else self.issuer

    @property
    def moved(self) -> Counter[str]:
        """What each participant gets (or gives, negative) by the change; it adds up to zero."""
        found: Counter[str] = Counter({self.payer: -self.difference_fen})
        found.update({self.issuer: self.issuer_fen})
        found.update({self.acquirer: self.acquirer_fen})
        found.update({self.scheme: self.scheme_fen})
        return found


class Movement(_OfRun):
    """What a run moved on a card, and the card's balance after the newest accepted record of the kind."""

    pan = models.CharField(_("card number"), max_length=20)
    kind = models.PositiveSmallIntegerField(_("kind"), help_text=_("1 purchases, 2 loads"))
    taps = models.PositiveIntegerField(_("taps"))
    amount_fen = models.BigIntegerField(_("amount (fen)"))
    last_counter = models.PositiveIntegerField(_("last counter"))
    last_balance_fen = models.BigIntegerField(_("last balance (fen)"))
    last_at = models.DateTimeField(_("last tap"))

    class Meta:
        verbose_name = _("movement")
        verbose_name_plural = _("movements")
        ordering = ["-run", "pan"]
        constraints = [models.UniqueConstraint(fields=["run", "pan", "kind"], name="movement_once")]
        indexes = [models.Index(fields=["pan", "last_at"], name="movement_card")]

    def __str__(self) -> str:
        return f"{self.run_id} {self.pan}"


class Tap(_OfRun):
    """Clearing's verdict on a record (`core.tables.VERDICTS`); a suspended one comes again in a later run."""

    tap = models.CharField(_("record"), max_length=64, db_index=True)
    batch = models.CharField(_("batch"), max_length=64)
    position = models.IntegerField(_("position in the batch"))
    verdict = models.CharField(_("verdict"), max_length=12)
    reason = models.CharField(_("reason"), max_length=32)
    pan = models.CharField(_("card number"), max_length=32)
    issuer = models.CharField(_("issuer"), max_length=16)
    acquirer = models.CharField(_("acquirer"), max_length=16)
    terminal = models.CharField(_("terminal"), max_length=16)
    service = models.IntegerField(_("service"))
    kind = models.IntegerField(_("kind"))
    tapped_at = models.DateTimeField(_("at"))
    business_date = models.DateField(_("business date"))
    counter = models.IntegerField(_("counter"))
    balance_before_fen = models.BigIntegerField(_("balance before (fen)"))
    amount_fen = models.BigIntegerField(_("amount (fen)"))
    list_fen = models.BigIntegerField(_("list price (fen)"))
    concession_fen = models.BigIntegerField(_("concession (fen)"))
    transfer_fen = models.BigIntegerField(_("transfer discount (fen)"))
    surcharge_fen = models.BigIntegerField(_("surcharge (fen)"))
    card_class = models.IntegerField(_("card class"))
    flags = models.IntegerField(_("flags"))
    line = models.IntegerField(_("line"))
    station = models.IntegerField(_("station"))
    entry_line = models.IntegerField(_("entry line"))
    entry_station = models.IntegerField(_("entry station"))
    entry_at = models.DateTimeField(_("entered"), null=True, blank=True)
    hotlist_version = models.BigIntegerField(_("hotlist version"))

    class Meta:
        verbose_name = _("tap")
        verbose_name_plural = _("taps")
        ordering = ["-tapped_at"]
        constraints = [models.UniqueConstraint(fields=["run", "batch", "position"], name="tap_once")]
        indexes = [
            models.Index(fields=["pan", "tapped_at"], name="tap_card"),
            models.Index(fields=["terminal", "tapped_at"], name="tap_terminal"),
            models.Index(fields=["run", "verdict", "reason"], name="tap_verdict"),
        ]

    def __str__(self) -> str:
        return self.tap


class Payment(_OfRun):
    """An instruction to the settlement bank: one side is always the bank."""

    payer = models.CharField(_("payer"), max_length=64)
    payee = models.CharField(_("payee"), max_length=64)
    amount_fen = models.PositiveBigIntegerField(_("amount (fen)"))
    paid_fen = models.PositiveBigIntegerField(_("moved by the bank (fen)"), default=0)
    transfer = models.ForeignKey("ledger.LedgerTransfer", models.PROTECT, verbose_name=_("transfer"))

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        ordering = ["-run", "payer", "payee"]
        constraints = [models.UniqueConstraint(fields=["run", "payer", "payee"], name="payment_once")]

    def __str__(self) -> str:
        return f"{self.run_id} {self.payer} > {self.payee}"

    @property
    def participant(self) -> str:
        """The side that is not the bank."""
        return self.payer if self.payee == BANK else self.payee

    @property
    def collects(self) -> bool:
        """Whether the participant pays, rather than being paid."""
        return self.payee == BANK

    @property
    def open_fen(self) -> int:
        """What the bank has not moved yet."""
        return self.amount_fen - self.paid_fen
