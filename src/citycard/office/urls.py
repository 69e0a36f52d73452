# SPDX-License-Identifier: Apache-2.0
"""Addresses of the office: the API under /api/v1/, the console everywhere else."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/v1/", include("citycard.office.api.urls")),
    path("", include("citycard.office.console.urls")),
]
