# SPDX-License-Identifier: Apache-2.0
"""The WSGI application `citycard serve` runs: the office's, with the tap lake to read from."""

from __future__ import annotations

from citycard.clearing.figures import taps_behind
from citycard.office.settlement import behind
from citycard.office.wsgi import application

__all__ = ["application"]

behind.use(taps_behind)
