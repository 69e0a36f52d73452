# SPDX-License-Identifier: Apache-2.0
"""Each person's card in the lab and its last presentations.

The keys are the lab's own, made from the row's seed whenever they are needed: they open no other card.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models


class LabCard(models.Model):
    """The one card a person has in the lab."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="lab_card")
    seed = models.BinaryField()
    image = models.BinaryField()
    profile = models.CharField(max_length=40)
    algorithm = models.PositiveSmallIntegerField(default=0)
    sam_next = models.PositiveBigIntegerField(default=1)
    at = models.DateTimeField()
    open = models.JSONField(null=True)  # the transaction whose end no terminal has seen

    class Meta:
        default_permissions = ()


class LabTap(models.Model):
    """One presentation: where, how it ended, what was said, the card before and after."""

    card = models.ForeignKey(LabCard, models.CASCADE, related_name="taps")
    post = models.CharField(max_length=20)
    at = models.DateTimeField()
    ended = models.JSONField()
    talk = models.TextField()
    before = models.JSONField()
    after = models.JSONField()

    class Meta:
        ordering = ["id"]
        default_permissions = ()
