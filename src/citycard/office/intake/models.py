# SPDX-License-Identifier: Apache-2.0
"""What came in: batches, loads, alarms, and the parameter versions that went out."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class RawBatch(models.Model):
    """A batch that was stored; its bytes are the file `path` in the lake, its digest is over all of them."""

    digest = models.CharField(_("digest"), max_length=64, primary_key=True)
    terminal = models.ForeignKey(
        "participants.Terminal", models.PROTECT, related_name="batches", verbose_name=_("terminal")
    )
    number = models.PositiveBigIntegerField(_("batch"))
    acquirer = models.CharField(_("acquirer"), max_length=16)
    count = models.PositiveIntegerField(_("records"))
    total_fen = models.PositiveBigIntegerField(_("total (fen)"))
    closed_at = models.DateTimeField(_("closed"))
    received_at = models.DateTimeField(_("received"), db_index=True)
    path = models.CharField(_("file"), max_length=200)

    class Meta:
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        ordering = ["-received_at"]
        constraints = [models.UniqueConstraint(fields=["terminal", "number"], name="batch_once")]

    def __str__(self) -> str:
        return f"{self.terminal_id}/{self.number}"


class Alarm(models.Model):
    """Something a person has to look at; `key` makes the same event one alarm however often it is seen."""

    key = models.CharField(max_length=200, unique=True)
    code = models.CharField(_("code"), max_length=40, db_index=True)
    subject = models.CharField(_("subject"), max_length=64, db_index=True)
    detail = models.JSONField(_("detail"), default=dict)
    raised_at = models.DateTimeField(_("raised"))
    seen = models.PositiveIntegerField(_("times seen"), default=1)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    closed_by = models.CharField(_("closed by"), max_length=150, blank=True, default="")

    class Meta:
        verbose_name = _("alarm")
        verbose_name_plural = _("alarms")
        ordering = ["-raised_at"]

    def __str__(self) -> str:
        return f"{self.code} {self.subject}"


class Load(models.Model):
    """A load from MAC2 to its proof; the money stands in the ledger as transfer `load:{id}`."""

    class Status(models.TextChoices):
        """Where a load stands."""

        PENDING = "pending", _("pending")
        POSTED = "posted", _("posted")
        VOIDED = "voided", _("voided")

    id = models.CharField(_("load"), max_length=32, primary_key=True)
    terminal = models.ForeignKey(
        "participants.Terminal", models.PROTECT, related_name="loads", verbose_name=_("terminal")
    )
    request_id = models.CharField(_("request"), max_length=64)
    card = models.ForeignKey("cards.Card", models.PROTECT, related_name="loads", verbose_name=_("card"))
    issuer = models.CharField(_("issuer"), max_length=16)
    counter = models.PositiveIntegerField(_("online counter"))
    key_version = models.PositiveSmallIntegerField(_("key version"))
    algorithm = models.PositiveSmallIntegerField(_("algorithm"))
    card_answer = models.CharField(max_length=32)
    balance_before_fen = models.PositiveBigIntegerField(_("balance before (fen)"))
    amount_fen = models.PositiveBigIntegerField(_("amount (fen)"))
    at = models.DateTimeField(_("at"))
    mac2 = models.CharField(max_length=8)
    status = models.CharField(_("status"), max_length=8, choices=Status.choices, default=Status.PENDING)
    tac = models.CharField(max_length=8, blank=True, default="")
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    ended_how = models.CharField(_("ended by"), max_length=20, blank=True, default="")

    class Meta:
        verbose_name = _("load")
        verbose_name_plural = _("loads")
        ordering = ["-at"]
        constraints = [models.UniqueConstraint(fields=["terminal", "request_id"], name="load_once")]
        indexes = [
            models.Index(fields=["card", "counter"], name="load_of_card"),
            models.Index(fields=["status", "at"], name="load_waiting"),
        ]

    def __str__(self) -> str:
        return self.id


class ParameterSet(models.Model):
    """A version of what terminals are told, kept as it was sent."""

    version = models.PositiveBigIntegerField(_("version"), primary_key=True)
    digest = models.CharField(max_length=64)
    body = models.JSONField(_("content"))
    made_at = models.DateTimeField(_("made"))

    class Meta:
        verbose_name = _("parameter set")
        verbose_name_plural = _("parameter sets")
        ordering = ["-version"]

    def __str__(self) -> str:
        return str(self.version)
