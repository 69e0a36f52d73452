# SPDX-License-Identifier: Apache-2.0
"""Names the app to Django, and makes groups follow the policy after each migration."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class StaffConfig(AppConfig):
    """Staff."""

    name = "citycard.office.staff"
    verbose_name = _("Staff")

    def ready(self) -> None:
        """Once every app has its permissions (the signal comes per app; the last one completes it)."""
        from citycard.office.staff.groups import follow_policy

        post_migrate.connect(follow_policy, dispatch_uid="staff.follow_policy")
