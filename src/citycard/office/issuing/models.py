# SPDX-License-Identifier: Apache-2.0
"""Card orders and the cards they reserved; security modules and what became of them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class CardOrder(models.Model):
    """An order of cards by the name its file gives it; `digest` is over what was ordered."""

    name = models.CharField(_("order"), max_length=40, primary_key=True)
    digest = models.CharField(_("digest"), max_length=64)
    issuer = models.ForeignKey(
        "participants.Participant", models.PROTECT, related_name="orders", verbose_name=_("issuer")
    )
    profile = models.CharField(_("profile"), max_length=30)
    algorithm = models.PositiveSmallIntegerField(_("algorithm"), default=0)
    province = models.CharField(max_length=4, default="0000")
    city = models.CharField(max_length=4, default="0000")
    count = models.PositiveIntegerField(_("cards"))
    ordered_at = models.DateTimeField(_("ordered"))
    ordered_by = models.CharField(_("by"), max_length=150)

    class Meta:
        verbose_name = _("card order")
        verbose_name_plural = _("card orders")
        ordering = ["-ordered_at"]

    def __str__(self) -> str:
        return self.name


class OrderedCard(models.Model):
    """A card's place in the order that reserved its number."""

    card = models.OneToOneField(
        "cards.Card", models.PROTECT, primary_key=True, related_name="ordered", verbose_name=_("card")
    )
    order = models.ForeignKey(CardOrder, models.PROTECT, related_name="cards", verbose_name=_("card order"))
    place = models.PositiveIntegerField()

    class Meta:
        verbose_name = _("ordered card")
        verbose_name_plural = _("ordered cards")
        ordering = ["order", "place"]
        constraints = [models.UniqueConstraint(fields=["order", "place"], name="one_card_a_place")]

    def __str__(self) -> str:
        return f"{self.order_id}/{self.place}"


class Sam(models.Model):
    """A security module that left the house: whose, for which terminal, with which keys, in what state."""

    class Role(models.TextChoices):
        """What a module is for."""

        PSAM = "psam", _("purchases (PSAM)")
        LOAD = "load", _("loads (load SAM)")

    class State(models.TextChoices):
        """Where it stands; only one that is in use is trusted."""

        IN_USE = "in_use", _("in use")
        HOTLISTED = "hotlisted", _("hotlisted")
        RETURNED = "returned", _("returned")
        DESTROYED = "destroyed", _("destroyed")

    serial = models.CharField(_("serial"), max_length=20, primary_key=True)
    role = models.CharField(_("role"), max_length=4, choices=Role.choices)
    terminal = models.CharField(_("terminal"), max_length=12, db_index=True)
    keys = models.JSONField(_("keys"), default=list)  # [name, version, algorithm id, issuer or ""]
    state = models.CharField(_("status"), max_length=9, choices=State.choices, default=State.IN_USE)
    issued_at = models.DateTimeField(_("issued"))
    issued_by = models.CharField(_("by"), max_length=150)
    state_at = models.DateTimeField(_("in this status since"))
    distrusted_at = models.DateTimeField(_("not trusted from"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=80, blank=True, default="")

    class Meta:
        verbose_name = _("security module")
        verbose_name_plural = _("security modules")
        ordering = ["serial"]
        constraints = [
            models.UniqueConstraint(
                fields=["role", "terminal"],
                condition=models.Q(state="in_use"),
                name="one_module_in_use",
            )
        ]

    def __str__(self) -> str:
        return self.serial
