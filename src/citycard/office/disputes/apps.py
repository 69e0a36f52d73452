# SPDX-License-Identifier: Apache-2.0
"""Names the app to Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DisputesConfig(AppConfig):
    """Disputes about exchanged taps."""

    name = "citycard.office.disputes"
    verbose_name = _("Disputes")
