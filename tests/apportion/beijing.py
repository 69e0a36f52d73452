# SPDX-License-Identifier: Apache-2.0
"""The real Beijing network: its lines, its transfer walks and its fare rules, from the published files."""

from __future__ import annotations

import json
import re
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from citycard.clearing.apportion.importing import Walk, import_lines
from citycard.clearing.apportion.network import Network

# Line 4 and Daxing, 14 and 16 are run by one company, the airport express and the tram by others.
OPERATORS = {
    "": "1200100000000001", "4号线": "1200100000000002", "14号线": "1200100000000002", "16号线": "1200100000000002",
    "大兴机场线": "1200100000000003", "首都机场线": "1200100000000003", "西郊线": "1200100000000004",
}  # fmt: skip


def json5(path: Path) -> Any:
    """The part of JSON5 these files use: comments, bare keys, trailing commas."""
    text = re.sub(
        r"//[^\n]*",
        "",
        path.read_text(encoding="utf-8").replace("https://", "https:").replace("http://", "http:"),
    )
    text = re.sub(r"([{,]\s*)([A-Za-z_]\w*)\s*:", r'\1"\2":', text)
    return json.loads(re.sub(r",(\s*[}\]])", r"\1", text))


@cache
def network(folder: Path) -> Network:
    """The network with the declared walks; a walk given one way counts for both."""
    told = json5(folder / "beijing_metadata.json5")
    walks: dict[tuple[str, str, str, str], float] = {}
    for station, ways in told["transfers"].items():
        for way in ways:
            walks.setdefault((station, station, way["from"], way["to"]), way["minutes"])
    for virtual in told["virtual_transfers"]:
        for way in virtual["times"]:
            walks.setdefault(
                (virtual["from_station"], virtual["to_station"], way["from"], way["to"]), way["minutes"]
            )
    for (a, b, one, other), minutes in list(walks.items()):
        walks.setdefault((b, a, other, one), minutes)
    return import_lines(
        folder / "beijing_line_stations.csv", "beijing", date(2026, 6, 1), OPERATORS,
        [Walk(a, b, one, other, minutes) for (a, b, one, other), minutes in walks.items()],
    )  # fmt: skip
