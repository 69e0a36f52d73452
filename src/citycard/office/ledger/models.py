# SPDX-License-Identifier: Apache-2.0
"""The two tables of the ledger. Only `ledger.books` writes them; a transfer is never deleted."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from citycard.core.ledger import ACCOUNT_ID_MAX, CODE_MAX, REF_MAX, TRANSFER_ID_MAX, Stage


class LedgerAccount(models.Model):
    """An account and its four sums; see `citycard.core.ledger.Account`."""

    id = models.CharField(_("account"), max_length=ACCOUNT_ID_MAX, primary_key=True)
    kind = models.CharField(_("kind"), max_length=CODE_MAX, db_index=True)
    flags = models.PositiveSmallIntegerField(default=0)
    debits_pending = models.PositiveBigIntegerField(_("debits pending (fen)"), default=0)
    debits_posted = models.PositiveBigIntegerField(_("debits posted (fen)"), default=0)
    credits_pending = models.PositiveBigIntegerField(_("credits pending (fen)"), default=0)
    credits_posted = models.PositiveBigIntegerField(_("credits posted (fen)"), default=0)
    opened_at = models.DateTimeField(_("opened"))

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.id

    @property
    def balance_fen(self) -> int:
        """Posted credits less posted debits."""
        return self.credits_posted - self.debits_posted


class LedgerTransfer(models.Model):
    """A recorded transfer; see `citycard.core.ledger.Entry`. Only its stage may move on from pending."""

    id = models.CharField(_("transfer"), max_length=TRANSFER_ID_MAX, primary_key=True)
    # Not checked a second time by the database: `books` has just read and locked both accounts, accounts are
    # never deleted, and the two look-ups of each row were half the time of a large posting.
    debit = models.ForeignKey(
        LedgerAccount, models.PROTECT, related_name="debits", db_index=False, db_constraint=False,
        verbose_name=_("debit"),
    )  # fmt: skip
    credit = models.ForeignKey(
        LedgerAccount, models.PROTECT, related_name="credits", db_index=False, db_constraint=False,
        verbose_name=_("credit"),
    )  # fmt: skip
    amount_fen = models.PositiveBigIntegerField(_("amount (fen)"))
    code = models.CharField(_("code"), max_length=CODE_MAX)
    flags = models.PositiveSmallIntegerField(default=0)
    pending_id = models.CharField(max_length=TRANSFER_ID_MAX, blank=True, default="")
    business_date = models.DateField(_("business date"), null=True, blank=True)
    ref = models.CharField(_("reference"), max_length=REF_MAX, blank=True, default="")
    stage = models.CharField(
        _("stage"),
        max_length=8,
        choices=[
            (Stage.BOOKED.value, _("booked")),
            (Stage.PENDING.value, _("pending")),
            (Stage.POSTED.value, _("posted")),
            (Stage.VOIDED.value, _("voided")),
        ],
    )
    recorded_at = models.DateTimeField(_("recorded"))

    class Meta:
        verbose_name = _("transfer")
        verbose_name_plural = _("transfers")
        ordering = ["-recorded_at", "id"]
        indexes = [
            # The account alone: with the time beside it no two entries are alike and the index is seven
            # times as large, and who asks for an account's transfers, of either side, sorts them anyway.
            models.Index(fields=["debit"], name="transfer_debit"),
            models.Index(fields=["credit"], name="transfer_credit"),
        ]

    def __str__(self) -> str:
        return self.id
