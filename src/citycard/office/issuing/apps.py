# SPDX-License-Identifier: Apache-2.0
"""Names the app to Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IssuingConfig(AppConfig):
    """Issuing."""

    name = "citycard.office.issuing"
    verbose_name = _("Issuing")
