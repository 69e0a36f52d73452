# SPDX-License-Identifier: Apache-2.0
"""Members of the exchange, their issuers, the files between us, and the taps those files are about."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from citycard.core.interop.files import FORMS
from citycard.core.interop.states import State
from citycard.office.participants.models import Named

STATES = [
    (State.TAKEN.value, _("taken here")),
    (State.FORWARDED.value, _("forwarded")),
    (State.RETURNED.value, _("returned by the hub")),
    (State.CLEARED.value, _("cleared, not verified yet")),
    (State.VERIFIED.value, _("verified by its issuer")),
    (State.REFUSED.value, _("refused by its issuer")),
    (State.DISPUTED.value, _("in dispute")),
    (State.ADJUSTED.value, _("adjusted")),
    (State.UPHELD.value, _("upheld")),
]


class Member(Named):
    """A member of the exchange, the hub and ourselves included; known by its organisation code."""

    org = models.CharField(_("organisation"), max_length=11, primary_key=True)
    participant = models.CharField(_("participant"), max_length=16, help_text=_("16 hex digits"))
    roles = models.JSONField(_("roles"), default=list)
    active = models.BooleanField(_("active"), default=True)
    form = models.CharField(
        _("form of files"), max_length=5, default="txt", choices=[(form, form) for form in FORMS]
    )
    token_hash = models.CharField(max_length=64, blank=True, default="", editable=False, db_index=True)
    box = models.CharField(_("drop box"), max_length=200, blank=True, default="")
    url = models.CharField(_("address of its office"), max_length=200, blank=True, default="")
    taken = models.PositiveIntegerField(_("files taken in order"), default=0)
    acknowledged = models.PositiveIntegerField(_("our files it has taken"), default=0)

    class Meta:
        verbose_name = _("member")
        verbose_name_plural = _("members")
        ordering = ["org"]

    def __str__(self) -> str:
        return self.name


class MemberKey(models.Model):
    """A key of a member, for one algorithm, on the days on which it counts; never deleted."""

    member = models.ForeignKey(Member, models.PROTECT, related_name="keys", verbose_name=_("member"))
    fingerprint = models.CharField(_("fingerprint"), max_length=16)
    algorithm = models.CharField(_("algorithm"), max_length=10)
    public_key = models.CharField(_("public key"), max_length=130)
    valid_from = models.DateField(_("valid from"))
    valid_until = models.DateField(_("valid until"), null=True, blank=True)

    class Meta:
        verbose_name = _("key of a member")
        verbose_name_plural = _("keys of members")
        ordering = ["member", "-valid_from"]
        constraints = [models.UniqueConstraint(fields=["member", "fingerprint"], name="member_key_once")]

    def __str__(self) -> str:
        return f"{self.member_id} {self.algorithm} {self.fingerprint}"


class OwnKey(models.Model):
    """A key we sign with from a day on; `kept` is its private half under the vault's storage key."""

    fingerprint = models.CharField(_("fingerprint"), max_length=16, primary_key=True)
    algorithm = models.CharField(_("algorithm"), max_length=10)
    public_key = models.CharField(_("public key"), max_length=130)
    valid_from = models.DateField(_("valid from"))
    made_at = models.DateTimeField(_("generated"))
    kept = models.TextField(editable=False)

    class Meta:
        verbose_name = _("key of ours")
        verbose_name_plural = _("keys of ours")
        ordering = ["-valid_from", "-made_at"]

    def __str__(self) -> str:
        return f"{self.algorithm} {self.fingerprint}"


class PartnerIssuer(Named):
    """A row of the white list: an issuer of another member, by the 8 bytes its cards carry."""

    issuer = models.CharField(_("issuer"), max_length=16, primary_key=True)
    issuer_org = models.CharField(_("company code"), max_length=11, db_index=True)
    member = models.ForeignKey(Member, models.PROTECT, related_name="issuers", verbose_name=_("member"))
    pan_prefix = models.CharField(_("prefix of card numbers"), max_length=13, blank=True, default="")
    accepted = models.BooleanField(_("accepted"), default=True)
    valid_from = models.DateField(_("valid from"))
    valid_until = models.DateField(_("valid until"), null=True, blank=True)

    class Meta:
        verbose_name = _("issuer of a partner")
        verbose_name_plural = _("issuers of partners")
        ordering = ["issuer"]

    def __str__(self) -> str:
        return self.name


class ExchangeFile(models.Model):
    """A file sent or received; its bytes lie under HOME/partners, its digest is over all of them."""

    class Status(models.TextChoices):
        """What became of it."""

        MADE = "made", _("sent")
        WAITING = "waiting", _("waits for earlier ones")
        TAKEN = "taken", _("taken")
        REFUSED = "refused", _("refused")

    file = models.CharField(_("file"), max_length=2)
    sender = models.CharField(_("sender"), max_length=11)
    receiver = models.CharField(_("receiver"), max_length=11)
    business_date = models.DateField(_("business date"))
    sequence = models.PositiveIntegerField(_("sequence"))
    control = models.BooleanField(default=False)
    form = models.CharField(_("form of files"), max_length=5)
    digest = models.CharField(_("digest"), max_length=64)
    records = models.PositiveIntegerField(_("records"), default=0)
    status = models.CharField(_("state"), max_length=8, choices=Status.choices)
    why = models.CharField(_("why"), max_length=300, blank=True, default="")
    at = models.DateTimeField(_("at"))
    delivered_at = models.DateTimeField(_("delivered"), null=True, blank=True)
    times = models.PositiveIntegerField(_("times seen"), default=1)
    path = models.CharField(max_length=200)

    class Meta:
        verbose_name = _("exchange file")
        verbose_name_plural = _("exchange files")
        ordering = ["-at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["sender", "receiver", "control", "sequence"],
                condition=~models.Q(status="refused"),
                name="exchange_file_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.file} {self.sender} {self.sequence}"

    @property
    def why_code(self) -> str:
        """The code of the problem for which it was refused."""
        return self.why.partition(":")[0]


class ExchangeRate(models.Model):
    """A row of the hub's contract; an empty field means any (`core.interop.money.Rate`)."""

    name = models.CharField(_("contract"), max_length=60, primary_key=True)
    acquirer = models.CharField(_("acquirer"), max_length=11, blank=True, default="")
    issuer = models.CharField(_("issuer"), max_length=11, blank=True, default="")
    mcc = models.CharField(_("merchant category"), max_length=4, blank=True, default="")
    valid_from = models.DateField(_("valid from"))
    valid_until = models.DateField(_("valid until"), null=True, blank=True)
    charge_bp = models.PositiveIntegerField(_("fee (basis points)"))
    acquirer_bp = models.PositiveIntegerField(_("acquirer's part (basis points)"))
    issuer_bp = models.PositiveIntegerField(_("issuer's part (basis points)"))

    class Meta:
        verbose_name = _("rate between members")
        verbose_name_plural = _("rates between members")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ExchangedTap(models.Model):
    """A tap that left its city: the CD columns, the evidence, the money, and how far it has come.

    `ref` is acquirer organisation and serial; `side` is which of the three we are to it. `batch` and
    `position` say where its record lies in our lake.
    """

    ref = models.CharField(_("presentment"), max_length=24, primary_key=True)
    side = models.CharField(_("our side"), max_length=8)
    state = models.CharField(_("state"), max_length=10, choices=STATES, db_index=True)
    tap = models.CharField(_("record"), max_length=64, db_index=True)
    serial = models.PositiveBigIntegerField(_("clearing serial"), null=True, blank=True, unique=True)
    acquirer_org = models.CharField(_("acquirer"), max_length=11)
    issuer_org = models.CharField(_("issuer"), max_length=11)
    issuer = models.CharField(_("issuer"), max_length=16, blank=True, default="")
    acquirer = models.CharField(_("acquirer"), max_length=16, blank=True, default="")
    acquirer_serial = models.PositiveBigIntegerField(_("acquirer's serial"))
    acquirer_date = models.DateField(_("sent for"), null=True)
    acquirer_code = models.CharField(_("institution"), max_length=11)
    reference = models.CharField(_("reference"), max_length=12)
    kind = models.CharField(_("transaction type"), max_length=4)
    mcc = models.CharField(_("merchant category"), max_length=4)
    channel = models.CharField(_("channel"), max_length=2)
    pan = models.CharField(_("card number"), max_length=20)
    counter = models.PositiveIntegerField(_("counter"))
    balance_before_fen = models.PositiveBigIntegerField(_("balance before (fen)"))
    amount_fen = models.PositiveBigIntegerField(_("amount (fen)"))
    tapped_at = models.DateTimeField(_("at"))
    algorithm = models.PositiveSmallIntegerField(_("algorithm"), default=0)
    test = models.PositiveSmallIntegerField(default=0)
    verification = models.TextField(_("verification data"), help_text=_("TLV in hex"))
    settled_on = models.DateField(_("settled on"), null=True, blank=True, db_index=True)
    fee_fen = models.PositiveBigIntegerField(_("fee (fen)"), default=0)
    issuer_share_fen = models.PositiveBigIntegerField(_("issuer's share (fen)"), default=0)
    acquirer_share_fen = models.PositiveBigIntegerField(_("acquirer's share (fen)"), default=0)
    error = models.CharField(_("error"), max_length=6, blank=True, default="")
    batch = models.CharField(_("batch"), max_length=64, blank=True, default="")
    position = models.PositiveIntegerField(_("position in the batch"), default=0)
    told = models.BooleanField(_("answered"), default=False)
    corrects = models.CharField(_("corrects"), max_length=24, blank=True, default="")

    class Meta:
        verbose_name = _("exchanged tap")
        verbose_name_plural = _("exchanged taps")
        ordering = ["-tapped_at", "ref"]
        indexes = [models.Index(fields=["pan", "tapped_at"], name="exchanged_card")]

    def __str__(self) -> str:
        return self.ref


class ExchangeDay(models.Model):
    """A date the hub has cleared; written in the same transaction as everything of that date."""

    settled_on = models.DateField(_("business date"), primary_key=True)
    cleared_at = models.DateTimeField(_("cleared"))
    taps = models.PositiveIntegerField(_("taps"))
    returned = models.PositiveIntegerField(_("returned"))
    amount_fen = models.PositiveBigIntegerField(_("amount (fen)"))

    class Meta:
        verbose_name = _("date of the exchange")
        verbose_name_plural = _("dates of the exchange")
        ordering = ["-settled_on"]

    def __str__(self) -> str:
        return self.settled_on.isoformat()


class ExchangePosition(models.Model):
    """A BP row as the hub made it, or as it was told to us."""

    settled_on = models.DateField(_("business date"))
    member_org = models.CharField(_("member"), max_length=11)
    counterparty_org = models.CharField(_("counterparty"), max_length=11)
    taps = models.IntegerField(_("taps"))
    amount_fen = models.BigIntegerField(_("amount (fen)"))
    fee_fen = models.BigIntegerField(_("fee (fen)"))
    issuer_share_fen = models.BigIntegerField(_("issuer's share (fen)"))
    acquirer_share_fen = models.BigIntegerField(_("acquirer's share (fen)"))
    net_fen = models.BigIntegerField(_("net (fen)"))

    class Meta:
        verbose_name = _("position between members")
        verbose_name_plural = _("positions between members")
        ordering = ["-settled_on", "member_org", "counterparty_org"]
        constraints = [
            models.UniqueConstraint(
                fields=["settled_on", "member_org", "counterparty_org"], name="exchange_position_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.settled_on} {self.member_org} {self.counterparty_org}"


class ExchangeHold(models.Model):
    """A settlement date on which the hub's positions are not those of our books: two people say what is paid.

    Nets are ours: positive is owed to us. What is not paid is disputed and stays on the positions.
    """

    class State(models.TextChoices):
        """How far it is paid."""

        HELD = "held", _("held")
        PARTLY = "partly", _("paid as far as both agree")
        PAID = "paid", _("paid")

    settled_on = models.DateField(_("business date"), primary_key=True)
    told_fen = models.BigIntegerField(_("net as told (fen)"))
    ours_fen = models.BigIntegerField(_("net by our books (fen)"))
    paid_fen = models.BigIntegerField(_("paid (fen)"), default=0)
    state = models.CharField(_("state"), max_length=6, choices=State.choices, default=State.HELD)
    raised_at = models.DateTimeField(_("raised"))
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    decided_by = models.CharField(_("decided by"), max_length=310, blank=True, default="")
    words = models.CharField(_("words"), max_length=200, blank=True, default="")

    class Meta:
        verbose_name = _("held payment between cities")
        verbose_name_plural = _("held payments between cities")
        ordering = ["-settled_on"]

    def __str__(self) -> str:
        return self.settled_on.isoformat()

    @property
    def agreed_fen(self) -> int:
        """What both sides say: of one sign, the smaller."""
        if self.told_fen * self.ours_fen <= 0:
            return 0
        return min(self.told_fen, self.ours_fen, key=abs)

    @property
    def disputed_fen(self) -> int:
        """What our books have beyond what is paid."""
        return self.ours_fen - self.paid_fen


class PartnerHotlistEntry(models.Model):
    """A stay of another member's card on our hotlist, in versions of our own list."""

    card_id = models.CharField(_("card number"), max_length=20, db_index=True)
    issuer_org = models.CharField(_("issuer"), max_length=11)
    reason = models.CharField(_("reason"), max_length=40)
    version = models.PositiveBigIntegerField(_("version"), db_index=True)
    listed_at = models.DateTimeField(_("listed"))
    delisted_at = models.DateTimeField(_("delisted"), null=True, blank=True)
    delisted_version = models.PositiveBigIntegerField(_("delisted in version"), null=True, blank=True)

    class Meta:
        verbose_name = _("hotlist entry of a partner")
        verbose_name_plural = _("hotlist entries of partners")
        ordering = ["version"]
        constraints = [
            models.UniqueConstraint(
                fields=["card_id"], condition=models.Q(delisted_version=None), name="partner_hotlisted_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.card_id} v{self.version}"


class ForeignTerminal(models.Model):
    """A terminal of another city at which one of our cards was used; `issuer` is that of the first one.

    It is told to clearing as that issuer's; clearing takes taps of all our issuers there as their own affair.
    """

    id = models.CharField(_("terminal"), max_length=12, primary_key=True)
    issuer = models.CharField(_("issuer"), max_length=16)
    seen_at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("terminal of another city")
        verbose_name_plural = _("terminals of other cities")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.id
