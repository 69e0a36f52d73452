# SPDX-License-Identifier: Apache-2.0
"""Names the app to Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BankConfig(AppConfig):
    """The settlement bank."""

    name = "citycard.office.bank"
    verbose_name = _("Settlement bank")
