# SPDX-License-Identifier: Apache-2.0
"""Names the app to Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    """The console has no models of its own; it shows those of the other rooms."""

    name = "citycard.office.console"
    verbose_name = _("Console")
