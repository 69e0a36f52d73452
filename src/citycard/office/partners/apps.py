# SPDX-License-Identifier: Apache-2.0
"""Names the app to Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PartnersConfig(AppConfig):
    """Partners: other cities and the hub."""

    name = "citycard.office.partners"
    verbose_name = _("Partners")
