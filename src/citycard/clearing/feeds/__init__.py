# SPDX-License-Identifier: Apache-2.0
"""Fares from outside: origin-destination matrices and GTFS Fares v2 feeds, as tariffs of ours."""

from citycard.clearing.feeds.gtfs import Feed, Leg, read_feed
from citycard.clearing.feeds.od_matrix import MatrixForm, MatrixReport, import_matrix
from citycard.clearing.feeds.tariffs import Inexpressible, to_tariffs

__all__ = [
    "Feed", "Inexpressible", "Leg", "MatrixForm", "MatrixReport", "import_matrix", "read_feed", "to_tariffs",
]  # fmt: skip
