# SPDX-License-Identifier: Apache-2.0
"""Cards, what happened to them, the hotlist, and the counters behind their numbers."""

from __future__ import annotations

from typing import Any, Final

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    """The states of a card's life, in order; `cards.life` says which move is legal."""

    MANUFACTURED = "manufactured", _("manufactured")
    INITIALISED = "initialised", _("initialised")
    PERSONALISED = "personalised", _("personalised")
    IN_STOCK = "in_stock", _("in stock")
    ACTIVE = "active", _("active")
    LOST = "lost", _("lost")
    BLOCKED = "blocked", _("blocked")
    EXPIRED = "expired", _("expired")
    REPLACED = "replaced", _("replaced")
    REFUNDED = "refunded", _("refunded")
    DESTROYED = "destroyed", _("destroyed")


VERBS: Final = (
    "order", "register", "stock_in", "issue", "bind", "unbind", "query", "report_loss", "cancel_loss",
    "block", "unblock", "expire", "replace", "refund", "destroy",
)  # fmt: skip


class Card(models.Model):
    """A card by its number for ever: cards are destroyed, never deleted, so no number is used twice."""

    pan = models.CharField(_("card number"), max_length=20, primary_key=True)
    issuer = models.ForeignKey(
        "participants.Participant", models.PROTECT, related_name="cards", verbose_name=_("issuer")
    )
    uid = models.CharField(_("chip serial"), max_length=20, blank=True, default="", db_index=True)
    profile = models.CharField(_("profile"), max_length=30, default="t-union")
    algorithm = models.PositiveSmallIntegerField(_("algorithm"), default=0)
    key_version = models.PositiveSmallIntegerField(_("key version"), default=1)
    card_class = models.PositiveSmallIntegerField(_("card class"), default=1)
    status = models.CharField(
        _("status"), max_length=12, choices=Status.choices, default=Status.MANUFACTURED, db_index=True
    )
    holder = models.ForeignKey(
        "holders.Holder",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="cards",
        verbose_name=_("holder"),
    )
    valid_from = models.DateField(_("valid from"), null=True, blank=True)
    valid_until = models.DateField(_("valid until"), null=True, blank=True)
    deposit_fen = models.PositiveBigIntegerField(_("deposit (fen)"), default=0)
    personalised_fen = models.PositiveBigIntegerField(_("balance at personalisation (fen)"), default=0)
    replaced_by = models.OneToOneField(
        "self", models.PROTECT, null=True, blank=True, related_name="replaces", verbose_name=_("replaced by")
    )
    status_at = models.DateTimeField(_("in this status since"))

    class Meta:
        verbose_name = _("card")
        verbose_name_plural = _("cards")
        ordering = ["pan"]
        permissions = [(f"{verb}_card", f"Can {verb.replace('_', ' ')}") for verb in VERBS]

    def __str__(self) -> str:
        return self.pan

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Never: a number once given stays given."""
        raise models.ProtectedError("cards are destroyed, not deleted", {self})


class CardEvent(models.Model):
    """One thing that was done to a card, or refused."""

    card = models.ForeignKey(Card, models.PROTECT, related_name="events", verbose_name=_("card"))
    verb = models.CharField(_("verb"), max_length=20)
    at = models.DateTimeField(_("at"))
    actor = models.CharField(_("by"), max_length=150)
    before = models.CharField(_("before"), max_length=12, choices=Status.choices)
    after = models.CharField(_("after"), max_length=12, choices=Status.choices)
    detail = models.JSONField(_("detail"), default=dict)
    refusal = models.CharField(_("refusal"), max_length=40, blank=True, default="")

    class Meta:
        verbose_name = _("card event")
        verbose_name_plural = _("card events")
        ordering = ["id"]
        indexes = [models.Index(fields=["card", "id"], name="card_event_life")]

    def __str__(self) -> str:
        return f"{self.card_id} {self.verb}"


class HotlistEntry(models.Model):
    """A stay of a card on the hotlist: put on in one version, perhaps taken off in a later one."""

    card = models.ForeignKey(Card, models.PROTECT, related_name="hotlisted", verbose_name=_("card"))
    reason = models.CharField(_("reason"), max_length=40)
    version = models.PositiveBigIntegerField(_("version"), db_index=True)
    listed_at = models.DateTimeField(_("listed"))
    delisted_at = models.DateTimeField(_("delisted"), null=True, blank=True)
    delisted_version = models.PositiveBigIntegerField(
        _("delisted in version"), null=True, blank=True, db_index=True
    )

    class Meta:
        verbose_name = _("hotlist entry")
        verbose_name_plural = _("hotlist entries")
        ordering = ["version"]
        constraints = [
            models.UniqueConstraint(
                fields=["card"], condition=models.Q(delisted_version=None), name="hotlisted_once"
            ),
            models.CheckConstraint(
                condition=models.Q(delisted_version=None)
                | models.Q(delisted_version__gt=models.F("version")),
                name="delisted_after_listed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.card_id} v{self.version}"


class Counter(models.Model):
    """A number that only grows: card serials of an issuer, versions of the hotlist."""

    name = models.CharField(max_length=60, primary_key=True)
    value = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} {self.value}"
