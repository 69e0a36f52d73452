# SPDX-License-Identifier: Apache-2.0
"""Holders: a verified person, with no more of their papers than a mask and a keyed digest."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class Kind(models.TextChoices):
    """Whether the holder lives in the city for good."""

    RESIDENT = "resident", _("resident")
    NON_RESIDENT = "non_resident", _("non-resident")


class Level(models.IntegerChoices):
    """How far a holder's identity was checked."""

    NONE = 0, _("not verified")
    PHONE = 1, _("phone verified")
    DOCUMENT = 2, _("document seen")
    PRESENCE = 3, _("document and person compared")


class Holder(models.Model):
    """A person who may hold cards."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    name = models.CharField(_("name"), max_length=80)
    birth_on = models.DateField(_("date of birth"))
    verification_level = models.PositiveSmallIntegerField(
        _("verification level"), choices=Level.choices, default=Level.NONE
    )
    guardian = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="wards", verbose_name=_("guardian")
    )
    document_type = models.CharField(_("document"), max_length=20, blank=True, default="")
    document_masked = models.CharField(_("document number"), max_length=40, blank=True, default="")
    document_digest = models.CharField(max_length=64, blank=True, default="", editable=False, db_index=True)
    phone_masked = models.CharField(_("phone"), max_length=20, blank=True, default="")
    created_at = models.DateTimeField(_("registered"))

    class Meta:
        verbose_name = _("holder")
        verbose_name_plural = _("holders")
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["document_digest"],
                condition=~models.Q(document_digest=""),
                name="holder_document_once",
            )
        ]

    def __str__(self) -> str:
        return self.name
