# SPDX-License-Identifier: Apache-2.0
"""The admin site: sign-in, passwords, and forms for what administrators maintain by hand.

Only the scheme's master data and staff have forms. Cards, money, intake and the audit log move through verbs
and are shown by the console's own pages. Who may open which form is Django's permissions, which
`staff.groups` keeps equal to the policy.
"""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from citycard.office import audit
from citycard.office.bank.models import BankAccount
from citycard.office.participants import models as scheme
from citycard.office.staff.models import User

admin.site.login_template = "console/login.html"
admin.site.unregister(Group)


class Kept(ModelAdmin):  # type: ignore[misc]
    """A form whose changes go into the audit log, and whose rows are switched off, not deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing the books may point at is deleted."""
        return False

    def save_model(self, request: HttpRequest, obj: Model, form: object, change: bool) -> None:
        """Saves, and notes who did."""
        super().save_model(request, obj, form, change)
        changed = list(getattr(form, "changed_data", []))
        verb = "change" if change else "add"
        name = f"{obj._meta.model_name} {obj.pk}"
        audit.record(
            request.user.get_username(), f"{verb}_{obj._meta.model_name}", name[:100], fields=changed
        )


@admin.register(scheme.Participant)
class ParticipantAdmin(Kept):
    """Participants."""

    list_display = ["id", "name_en", "name_zh", "active"]
    search_fields = ["id", "name_en", "name_zh"]


@admin.register(scheme.Line)
class LineAdmin(Kept):
    """Lines."""

    list_display = ["number", "name_en", "name_zh", "operator"]
    list_select_related = ["operator"]
    search_fields = ["number", "name_en", "name_zh"]


@admin.register(scheme.Terminal)
class TerminalAdmin(Kept):
    """Terminals."""

    list_display = ["id", "name", "acquirer", "line", "station", "active"]
    list_select_related = ["acquirer"]
    search_fields = ["id", "name"]
    readonly_fields = [
        "parameter_version", "hotlist_version", "last_seen_at", "last_batch", "clock_skew_s",
        "pending_records",
    ]  # fmt: skip


@admin.register(scheme.Contract)
class ContractAdmin(Kept):
    """Contracts."""

    list_display = ["contract", "acquirer", "issuer", "valid_from", "valid_until", "charge_bp"]
    list_select_related = ["acquirer", "issuer"]


@admin.register(scheme.SettlementTerms)
class SettlementTermsAdmin(Kept):
    """Settlement terms."""

    list_display = ["participant", "period", "lag_days", "minimum_fen", "limit_fen", "hold_over_limit"]
    list_select_related = ["participant"]


@admin.register(BankAccount)
class BankAccountAdmin(Kept):
    """Bank accounts: whole numbers only in the form of one account."""

    list_display = ["participant", "holder", "masked", "bank", "mandate"]
    list_select_related = ["participant"]


@admin.register(User)
class StaffAdmin(Kept, UserAdmin):  # type: ignore[type-arg]
    """Staff and their roles."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "first_name", "last_name", "participant", "is_active"]
    list_filter = ()
    fieldsets = [
        (None, {"fields": ["username", "password", "first_name", "last_name", "participant"]}),
        (None, {"fields": ["is_active", "is_staff", "groups"]}),
    ]
