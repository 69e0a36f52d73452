# SPDX-License-Identifier: Apache-2.0
"""The API's addresses; documentation at `docs`, the OpenAPI description at `openapi.json`."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path

from citycard.office.api import errors
from citycard.office.api.v1 import api


def nothing_here(request: HttpRequest) -> HttpResponse:
    """An address the API does not have: told to a program, not sent on to the console's login."""
    problem = errors.NO_ADDRESS(path=request.path)
    return api.create_response(request, errors.body_of(problem), status=errors.status_of(problem))


urlpatterns = [path("", api.urls), re_path("", nothing_here)]
