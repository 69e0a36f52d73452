# SPDX-License-Identifier: Apache-2.0
"""People who work in the office, and the second person's word where one is needed."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """Someone who signs in; roles are groups, see `staff.roles`."""

    participant = models.ForeignKey(
        "participants.Participant",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="staff",
        verbose_name=_("works for"),
    )

    class Meta:
        verbose_name = _("staff member")
        verbose_name_plural = _("staff members")


class ApprovalState(models.TextChoices):
    """Where a request for a second person stands."""

    WAITING = "waiting", _("waiting")
    APPROVED = "approved", _("approved")
    DECLINED = "declined", _("declined")


class Approval(models.Model):
    """A verb that one person asked for and a second one must allow."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    verb = models.CharField(_("verb"), max_length=20)
    subject = models.CharField(_("card number"), max_length=20, db_index=True)
    amount_fen = models.BigIntegerField(_("amount (fen)"), default=0)
    detail = models.JSONField(_("detail"), default=dict)
    state = models.CharField(
        _("state"), max_length=10, choices=ApprovalState.choices, default=ApprovalState.WAITING
    )
    asked_by = models.CharField(_("asked by"), max_length=150)
    asked_at = models.DateTimeField(_("asked at"))
    decided_by = models.CharField(_("decided by"), max_length=150, blank=True, default="")
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)

    class Meta:
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        ordering = ["-asked_at"]

    def __str__(self) -> str:
        return f"{self.verb} {self.subject}"
