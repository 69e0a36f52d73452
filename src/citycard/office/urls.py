# SPDX-License-Identifier: Apache-2.0
"""Addresses of the office: the API under /api/v1/, the console everywhere else."""

from __future__ import annotations

from importlib.util import find_spec

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path


def _has(room: str) -> bool:
    return (
        find_spec(f"citycard.office.{room}") is not None
        and find_spec(f"citycard.office.{room}.urls") is not None
    )


urlpatterns: list[URLPattern | URLResolver] = [path("i18n/", include("django.conf.urls.i18n"))]
if _has("api"):
    urlpatterns.append(path("api/v1/", include("citycard.office.api.urls")))
if _has("console"):
    urlpatterns.append(path("", include("citycard.office.console.urls")))
else:
    urlpatterns.append(path("", admin.site.urls))
