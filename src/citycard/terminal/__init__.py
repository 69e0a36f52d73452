# SPDX-License-Identifier: Apache-2.0
"""The edge: links to cards, the tap loop, the journal that survives a kill, parameters, upload.

journal = Journal.open(FolderStore(folder), config.terminal)
terminal = Terminal(config, Psam(vault, config.terminal, journal.numbers), journal, clock, parameters)
result = terminal.tap(EmulatedLink(card), Event.ENTER)
report = Sync(client, token, Shelf(store)).run(terminal)
"""

from citycard.terminal.host import LoadHost, LoadOffer, LoadRequest, OfficeLoads
from citycard.terminal.journal import ALL_ENTRIES, NO_ENTRIES, Journal
from citycard.terminal.link import (
    EmulatedLink,
    Link,
    ReplayLink,
    ReplayMismatch,
    TracedLink,
    TracedSam,
    recording,
)
from citycard.terminal.loop import Terminal, TerminalConfig
from citycard.terminal.parameters import Hotlist, HotlistDelta, Parameters, Shelf, read_parameters
from citycard.terminal.result import Outcome, TapResult
from citycard.terminal.store import FolderStore, MemoryStore, Store
from citycard.terminal.sync import Sync, SyncReport

__all__ = [
    "ALL_ENTRIES",
    "NO_ENTRIES",
    "EmulatedLink",
    "FolderStore",
    "Hotlist",
    "HotlistDelta",
    "Journal",
    "Link",
    "LoadHost",
    "LoadOffer",
    "LoadRequest",
    "MemoryStore",
    "OfficeLoads",
    "Outcome",
    "Parameters",
    "ReplayLink",
    "ReplayMismatch",
    "Shelf",
    "Store",
    "Sync",
    "SyncReport",
    "TapResult",
    "Terminal",
    "TerminalConfig",
    "TracedLink",
    "TracedSam",
    "read_parameters",
    "recording",
]
