# SPDX-License-Identifier: Apache-2.0
"""How the operators of a place share what was earned there: asked of the service once per distinct place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from citycard.clearing.problems import INPUT_INVALID
from citycard.clearing.reference import Reference
from citycard.clearing.rules import Sharing
from citycard.core.tables import Row
from citycard.services import REGISTRY, load_config
from citycard.services.contract import Place, Weights

WHOLE_MAX: Final = 2**53 // 2**32  # a record's largest amount times all weights stays exact in every engine


@dataclass
class TariffSharing:
    """Weights by the service's own rule and the exported tariff of the version the tap was priced with.

    Where that version was not exported the newest one counts; where a service has none at all, the fare
    stays with the acquirer.
    """

    tariffs: Mapping[tuple[int, int], Any]
    _configs: dict[tuple[int, int], Any] = field(default_factory=dict)

    def __call__(self, service: int, version: int, place: Place, lines: Mapping[int, str]) -> Weights:
        """The `Sharing` port."""
        versions = [number for code, number in self.tariffs if code == service]
        if service not in REGISTRY or not versions:
            return ((place.acquirer, 1),)
        key = (service, version if version in versions else max(versions))
        if key not in self._configs:
            self._configs[key] = load_config(service, self.tariffs[key])
        return REGISTRY[service].shares(place, self._configs[key], lines)


def weigh(
    grounds: Iterable[Row], reference: Reference, sharing: Sharing, first: int = 0
) -> tuple[list[Row], list[Row]]:
    """(rows of `places`, rows of `weights`) for distinct grounds, the places numbered from `first`.

    Bearers who operate nothing stand among the weights with weight 0, so that what they give up is a row
    of its own. INPUT_INVALID when a service names somebody who is no participant, or weights beyond reason.
    """
    known = reference.names
    places: list[Row] = []
    weights: list[Row] = []
    for number, ground in enumerate(grounds, first):
        places.append({**ground, "place_no": number})
        place = Place(
            ground["acquirer"],
            ground["line"],
            ground["station"],
            ground["entry_line"],
            ground["entry_station"],
            ground["period"],
        )
        shares = _shares(sharing(ground["service"], ground["tariff_version"], place, reference.operators))
        whole = sum(shares.values())
        strangers = sorted(shares.keys() - known.keys())
        if strangers or whole > WHOLE_MAX:
            why = f"{strangers[0]} is no participant" if strangers else f"more than {WHOLE_MAX} parts"
            where = f"line {place.line} station {place.station}"
            raise INPUT_INVALID(
                path="tariffs.csv or the network file",
                why=f"a fare of service {ground['service']} at {where} is shared as {shares}: {why}",
            )
        bearers = (ground["acquirer"], ground["concession_payer"], ground["transfer_payer"])
        for rank, participant in enumerate(dict.fromkeys((*shares, *bearers))):
            weights.append(
                {
                    "place_no": number,
                    "rank": rank,
                    "participant": participant,
                    "weight": shares.get(participant, 0),
                    "whole": whole,
                    "bears_fare": int(participant == bearers[0]),
                    "bears_concession": int(participant == bearers[1]),
                    "bears_transfer": int(participant == bearers[2]),
                }
            )
    return places, weights


def _shares(weights: Weights) -> dict[str, int]:
    """Weights by participant, in lowest terms, in the order given."""
    total: dict[str, int] = {}
    for participant, weight in weights:
        total[participant] = total.get(participant, 0) + weight
    assert min(total.values()) >= 0, "a weight is negative"
    assert sum(total.values()) > 0, "no weight is positive"
    divisor = math.gcd(*total.values())
    return {participant: weight // divisor for participant, weight in total.items()}
