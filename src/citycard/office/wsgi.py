# SPDX-License-Identifier: Apache-2.0
"""The WSGI application a web server runs."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "citycard.office.settings")
application = get_wsgi_application()
