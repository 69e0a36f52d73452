# SPDX-License-Identifier: Apache-2.0
"""What lies on a card, read the way a service desk reads it: plain values that JSON keeps."""

from __future__ import annotations

from typing import Any

from citycard.core.card import Card
from citycard.core.dialogue import CARD, Refused, converse, read_card, read_log
from citycard.services.card_state import read_state

Facts = dict[str, Any]


def read_facts(card: Card) -> Facts:
    """Identity, money, open journey, last ride and newest log line of a card; empty for one that refuses."""
    card.power_on()
    parties = {CARD: card.process}
    view = converse(read_card(), parties)
    log = converse(read_log(), parties)
    card.power_off()
    if isinstance(view, Refused) or isinstance(log, Refused):
        return {}
    state = read_state(view.metro, view.newest, view.balance_fen or 0)
    journey, ride = state.journey, state.last
    return {
        "pan": view.pan,
        "card_class": view.card_class,
        "valid_until": view.public["valid_until"].isoformat(),
        "balance_fen": view.balance_fen,
        "journey": journey and [journey.line, journey.station, f"{journey.at}"],
        "ride": ride and [ride.line, ride.station, f"{ride.at}", ride.amount_fen],
        "log": [[row["txn"], row["counter"], row["amount_fen"], f"{row['at']}"] for row in log[:3]],
    }
