# SPDX-License-Identifier: Apache-2.0
"""The office's one clock: scheme-local wall time, replaceable by the simulator.

Every timestamp the office takes comes from `now()`, so that a simulated city and the office agree about
what time it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

_source: Callable[[], datetime] = datetime.now


def now() -> datetime:
    """The present moment in scheme-local time, without a zone, to the second."""
    return _source().replace(microsecond=0)


def use(source: Callable[[], datetime] | None) -> None:
    """Take the time from another source; None restores the machine's clock."""
    global _source
    _source = source or datetime.now
