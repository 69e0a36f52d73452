# SPDX-License-Identifier: Apache-2.0
"""Clearing: what was tapped becomes what is owed, once, whatever is repeated, late, lost or killed.

`run` clears one business date. It reads raw batches from the lake and reference tables from the exchange
folder, and writes verdicts, positions, movements, revenue and statements. The steps are pure expressions
over declared tables; the same expressions run on any engine Ibis speaks to.
"""

from __future__ import annotations

from citycard.clearing.rules import Rules, RunReport, TacChecker
from citycard.clearing.run import run
from citycard.clearing.waiting import waiting

__all__ = ["Rules", "RunReport", "TacChecker", "run", "waiting"]
