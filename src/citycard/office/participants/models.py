# SPDX-License-Identifier: Apache-2.0
"""Participants, what they run, what they charge and how they share: the scheme as the office knows it."""

from __future__ import annotations

from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from citycard.core import fees, volume
from citycard.core.cycles import DAILY, LAG_MAX, MONTHLY, WEEKLY, Cycle

ROLES: Final = ("issuer", "acquirer", "retailer", "scheme", "subsidy")


class Named(models.Model):
    """Something with an English and a Chinese name."""

    name_en = models.CharField(_("English name"), max_length=80)
    name_zh = models.CharField(_("Chinese name"), max_length=80)

    class Meta:
        abstract = True

    @property
    def name(self) -> str:
        """The name in the reader's language."""
        return self.name_zh if (get_language() or "en").startswith("zh") else self.name_en


class Participant(Named):
    """An institution of the scheme in one or several roles; its id stands on cards and in batches."""

    id = models.CharField(_("id"), max_length=16, primary_key=True, help_text=_("16 hex digits"))
    roles = models.JSONField(_("roles"), default=list)
    pan_prefix = models.CharField(
        _("prefix of card numbers"),
        max_length=13,
        blank=True,
        default="",
        help_text=_("a 0, then 5 to 12 digits"),
    )
    active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("participant")
        verbose_name_plural = _("participants")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class SettlementTerms(models.Model):
    """When a participant is settled, from which amount, and how far it is trusted."""

    participant = models.OneToOneField(
        Participant, models.PROTECT, primary_key=True, related_name="terms", verbose_name=_("participant")
    )
    period = models.CharField(
        _("settled"), max_length=7, default=DAILY,
        choices=[(DAILY, _("daily")), (WEEKLY, _("weekly")), (MONTHLY, _("monthly"))],
    )  # fmt: skip
    lag_days = models.PositiveSmallIntegerField(
        _("working days later"), default=0, validators=[MaxValueValidator(LAG_MAX)], help_text=_("T+n")
    )
    weekday = models.PositiveSmallIntegerField(
        _("weekday"), default=1, validators=[MinValueValidator(1), MaxValueValidator(7)],
        help_text=_("of a weekly cycle, 1 Monday to 7 Sunday"),
    )  # fmt: skip
    month_day = models.PositiveSmallIntegerField(
        _("day of the month"), default=31, validators=[MinValueValidator(1), MaxValueValidator(31)],
        help_text=_("of a monthly cycle; the last day where a month is shorter"),
    )  # fmt: skip
    minimum_fen = models.PositiveBigIntegerField(
        _("least payment (fen)"), default=0, help_text=_("below it a position is carried to the next cycle")
    )
    deposit_fen = models.PositiveBigIntegerField(_("guarantee deposit required (fen)"), default=0)
    limit_fen = models.PositiveBigIntegerField(
        _("limit of the open position (fen)"), null=True, blank=True, help_text=_("either way; empty: none")
    )
    hold_over_limit = models.BooleanField(
        _("hold payments over the limit"), default=False, help_text=_("until an officer releases them")
    )

    class Meta:
        verbose_name = _("settlement terms")
        verbose_name_plural = _("settlement terms")
        ordering = ["participant"]

    def __str__(self) -> str:
        return self.participant_id

    @property
    def cycle(self) -> Cycle:
        """The terms' cycle."""
        return Cycle(self.period, self.lag_days, self.weekday, self.month_day)


class Line(Named):
    """A metro or bus line and who runs it."""

    number = models.PositiveIntegerField(_("number"), primary_key=True)
    service = models.PositiveSmallIntegerField(_("service"))
    operator = models.ForeignKey(
        Participant, models.PROTECT, related_name="lines", verbose_name=_("operator")
    )

    class Meta:
        verbose_name = _("line")
        verbose_name_plural = _("lines")
        ordering = ["number"]

    def __str__(self) -> str:
        return self.name


class Station(Named):
    """A station of a line, with its distance from the line's start in metres."""

    line = models.ForeignKey(Line, models.CASCADE, related_name="stations", verbose_name=_("line"))
    number = models.PositiveIntegerField(_("number"))
    km_m = models.PositiveIntegerField(_("distance (m)"), default=0)

    class Meta:
        verbose_name = _("station")
        verbose_name_plural = _("stations")
        ordering = ["line", "number"]
        constraints = [models.UniqueConstraint(fields=["line", "number"], name="station_once")]

    def __str__(self) -> str:
        return self.name


class Terminal(models.Model):
    """A terminal in the field: where it stands, whose it is, and how it is doing."""

    id = models.CharField(_("terminal"), max_length=12, primary_key=True, help_text=_("12 hex digits"))
    acquirer = models.ForeignKey(
        Participant, models.PROTECT, related_name="terminals", verbose_name=_("acquirer")
    )
    service = models.PositiveSmallIntegerField(_("service"))
    line = models.PositiveIntegerField(_("line"), default=0)
    station = models.PositiveIntegerField(_("station"), default=0)
    name = models.CharField(_("name"), max_length=80, blank=True, default="")
    active = models.BooleanField(_("active"), default=True)
    token_hash = models.CharField(max_length=64, blank=True, default="", editable=False, db_index=True)
    parameter_version = models.PositiveBigIntegerField(_("parameter version"), default=0)
    hotlist_version = models.PositiveBigIntegerField(_("hotlist version"), default=0)
    last_seen_at = models.DateTimeField(_("last seen"), null=True, blank=True)
    last_batch = models.PositiveBigIntegerField(_("last batch"), default=0)
    clock_skew_s = models.IntegerField(_("clock skew (s)"), null=True, blank=True)
    pending_records = models.PositiveIntegerField(_("records waiting"), default=0)

    class Meta:
        verbose_name = _("terminal")
        verbose_name_plural = _("terminals")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name or self.id


class Contract(models.Model):
    """How a fee on taps is shared, for whom and in which days; an empty field means any."""

    contract = models.CharField(_("contract"), max_length=60, primary_key=True)
    service = models.PositiveSmallIntegerField(_("service"), null=True, blank=True)
    acquirer = models.ForeignKey(
        Participant, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("acquirer")
    )
    issuer = models.ForeignKey(
        Participant, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("issuer")
    )
    valid_from = models.DateField(_("valid from"))
    valid_until = models.DateField(_("valid until"), null=True, blank=True)
    charge_bp = models.PositiveIntegerField(_("fee (basis points)"))
    acquirer_bp = models.PositiveIntegerField(_("acquirer's part (basis points)"))
    issuer_bp = models.PositiveIntegerField(_("issuer's part (basis points)"))
    fixed_fen = models.PositiveIntegerField(
        _("fixed fee (fen)"), default=0, help_text=_("on every tap, beside the rate")
    )
    min_fen = models.PositiveIntegerField(
        _("least fee (fen)"), default=0, help_text=_("never more than the amount of the tap")
    )
    max_fen = models.PositiveIntegerField(_("largest fee (fen)"), null=True, blank=True)
    steps = models.CharField(
        _("steps"), max_length=400, null=True, blank=True,
        help_text=_("up_to_fen:charge_bp:fixed_fen, separated by spaces, rising"),
    )  # fmt: skip
    fee_acquirer_bp = models.PositiveIntegerField(
        _("acquirer's part of the fee (basis points)"), null=True, blank=True,
        help_text=_("instead of the part of the amount"),
    )  # fmt: skip
    fee_issuer_bp = models.PositiveIntegerField(
        _("issuer's part of the fee (basis points)"), null=True, blank=True
    )
    volume_by = models.CharField(
        _("month's volume by"), max_length=6, default=volume.BY_AMOUNT, blank=True,
        choices=[(volume.BY_AMOUNT, _("turnover")), (volume.BY_TAPS, _("number of taps"))],
    )  # fmt: skip
    volume_tiers = models.CharField(
        _("volume tiers"), max_length=800, null=True, blank=True,
        help_text=_("from..below:charge_bp:fixed_fen by the month, spaces between; the last has no end"),
    )  # fmt: skip
    concession_payer = models.CharField(_("bears concessions"), max_length=16)
    transfer_payer = models.CharField(_("bears transfer discounts"), max_length=16)

    class Meta:
        verbose_name = _("contract")
        verbose_name_plural = _("contracts")
        ordering = ["contract"]

    def __str__(self) -> str:
        return self.contract

    @property
    def terms(self) -> fees.Contract:
        """The fees, as `core.fees` reads them."""
        names = ("charge_bp", "acquirer_bp", "issuer_bp", "fixed_fen", "min_fen", "max_fen", "steps")
        more = ("fee_acquirer_bp", "fee_issuer_bp", "volume_by", "volume_tiers")
        return {name: getattr(self, name) for name in (*names, *more)}

    def clean(self) -> None:
        """Fees that contradict themselves would stop the next clearing run."""
        super().clean()
        if told := fees.faults(self.terms, get_language() or "en"):
            raise ValidationError("; ".join(told))


class Tariff(models.Model):
    """One version of a service's tariff and the day it takes effect."""

    service = models.PositiveSmallIntegerField(_("service"))
    version = models.PositiveSmallIntegerField(_("version"), help_text=_("1 to 255: a byte of the record"))
    valid_from = models.DateField(_("valid from"))
    config = models.JSONField(_("configuration"))

    class Meta:
        verbose_name = _("tariff")
        verbose_name_plural = _("tariffs")
        ordering = ["service", "version"]
        constraints = [models.UniqueConstraint(fields=["service", "version"], name="tariff_version_once")]

    def __str__(self) -> str:
        return f"{self.service}/{self.version}"


class SchemeSetting(models.Model):
    """A named setting of the scheme: calendar, limits, fees."""

    key = models.CharField(_("setting"), max_length=60, primary_key=True)
    value = models.JSONField(_("value"))

    class Meta:
        verbose_name = _("scheme setting")
        verbose_name_plural = _("scheme settings")
        ordering = ["key"]

    def __str__(self) -> str:
        return self.key
