# SPDX-License-Identifier: Apache-2.0
"""Disputes and everything that was said in them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from citycard.core.interop.disputes import Party, Stage

STAGES = [
    (Stage.RAISED.value, _("raised, to be answered")),
    (Stage.CONTESTED.value, _("contested")),
    (Stage.REPRESENTED.value, _("presented again")),
    (Stage.ARBITRATION.value, _("before the hub")),
    (Stage.GRANTED.value, _("granted, not adjusted yet")),
    (Stage.ADJUSTED.value, _("adjusted")),
    (Stage.DISMISSED.value, _("dismissed")),
    (Stage.CLOSED.value, _("closed")),
]
PARTIES = [
    (Party.RAISER.value, _("we raised it")),
    (Party.ANSWERER.value, _("we answer it")),
    (Party.HUB.value, _("we are the hub")),
]


class Dispute(models.Model):
    """A dispute about one exchanged tap, as this office knows it; `party` is who we are in it."""

    case = models.PositiveIntegerField(_("case"))
    originator_org = models.CharField(_("raised by"), max_length=11)
    answering_org = models.CharField(_("to be answered by"), max_length=11)
    tap = models.ForeignKey(
        "partners.ExchangedTap", models.PROTECT, related_name="disputes", verbose_name=_("exchanged tap")
    )
    party = models.CharField(_("our part"), max_length=8, choices=PARTIES)
    stage = models.CharField(_("stage"), max_length=12, choices=STAGES, db_index=True)
    cause = models.CharField(_("cause"), max_length=4)
    right_fen = models.PositiveBigIntegerField(_("right amount (fen)"))
    raised_on = models.DateField(_("raised on"))
    answer_by = models.DateField(_("answer by"))
    adjust_serial = models.PositiveBigIntegerField(_("adjustment"), null=True, blank=True)
    adjusted_on = models.DateField(_("adjusted on"), null=True, blank=True)
    back_fen = models.PositiveBigIntegerField(_("given back (fen)"), default=0)
    refunded_fen = models.PositiveBigIntegerField(_("refunded to the holder (fen)"), default=0)

    class Meta:
        verbose_name = _("dispute")
        verbose_name_plural = _("disputes")
        ordering = ["answer_by", "id"]
        constraints = [models.UniqueConstraint(fields=["originator_org", "case"], name="dispute_once")]

    def __str__(self) -> str:
        return f"{self.originator_org}/{self.case}"


class DisputeEvent(models.Model):
    """One thing that was said or done; never changed."""

    dispute = models.ForeignKey(Dispute, models.PROTECT, related_name="events", verbose_name=_("dispute"))
    at = models.DateTimeField(_("at"))
    act = models.CharField(_("act"), max_length=12)
    by = models.CharField(_("by"), max_length=150)
    before = models.CharField(_("before"), max_length=12, blank=True, default="")
    after = models.CharField(_("after"), max_length=12, choices=STAGES)
    words = models.CharField(_("words"), max_length=200, blank=True, default="")

    class Meta:
        verbose_name = _("dispute event")
        verbose_name_plural = _("dispute events")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.dispute_id} {self.act}"
