# SPDX-License-Identifier: Apache-2.0
"""Names the app to Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SettlementConfig(AppConfig):
    """Settlement."""

    name = "citycard.office.settlement"
    verbose_name = _("Settlement")
