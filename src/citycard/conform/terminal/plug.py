# SPDX-License-Identifier: Apache-2.0
"""A terminal under test at the other end of PC/SC: played cards lie in a virtual reader of its machine.

The terminal sees an ordinary reader in which a card appears and disappears. A person at the terminal is told
what to do; or, with a time for each card, nobody is needed and the terminal takes cards as they come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from citycard.conform.guard import Field
from citycard.conform.terminal.played import PlayedCard

WAIT_MAX_S: Final = 10.0  # longer than any passback window; nobody wants to wait a minute
HANG_UP_S: Final = 5.0


class Reader(Protocol):
    """A virtual reader that takes one card: `serve` returns when it has left, `remove` takes it out."""

    def serve(self, card: Field) -> None: ...
    def remove(self) -> None: ...


class PlugIn:
    """Terminals under test behind a virtual reader (`run.UnderTest`).

    `insert` gives the reader for one presentation; `tell` says what to do at which place; `until` returns
    when the card is to be taken away.
    """

    title = "terminal under test over PC/SC"

    def __init__(
        self,
        insert: Callable[[], Reader],
        tell: Callable[[str, PlayedCard], None],
        until: Callable[[], None],
    ) -> None:
        self._insert, self._tell, self._until = insert, tell, until

    def wait(self, seconds: float) -> None:
        """Real time passes, at most `WAIT_MAX_S`."""
        time.sleep(min(seconds, WAIT_MAX_S))

    def tap(self, place: str, card: PlayedCard) -> None:
        """Present a card: it lies in the reader until it leaves or is taken away."""
        self._tell(place, card)
        reader = self._insert()
        serving = threading.Thread(target=reader.serve, args=(card,), daemon=True)
        serving.start()
        self._until()
        card.leave()
        reader.remove()
        serving.join(HANG_UP_S)
