# SPDX-License-Identifier: Apache-2.0
"""Cuts long lists into pages."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest

ROWS = 50


def cut(request: HttpRequest, rows: Any) -> Page[Any]:
    """The page of rows that was asked for; the nearest one for a number that is none."""
    return Paginator(rows, ROWS).get_page(request.GET.get("page"))
