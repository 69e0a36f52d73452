# SPDX-License-Identifier: Apache-2.0
"""The tables a run is given, by name and columns: everything the steps are expressions over.

`taps` is what was decoded, `pool` the taps earlier runs suspended, `state` and the other lake tables are
what is carried from day to day. A card's state per kind is a list of intervals of counters that are known,
nearly always one; a second one stands above a gap until the missing record came or its window ended.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from citycard.clearing.decode import TAPS as TAP_COLUMNS
from citycard.clearing.engine import Source
from citycard.clearing.reference import arrow_schema
from citycard.core import tables

INT: Final = pa.int64()
TEXT: Final = pa.string()
MOMENT: Final = pa.timestamp("us")
DAY: Final = pa.date32()

TAPS: Final = Source("taps", TAP_COLUMNS)
POOL: Final = Source(
    "pool", pa.schema([("batch", TEXT), *[(f.name, f.type) for f in TAP_COLUMNS if f.name != "batch_no"]])
)
SETTINGS: Final = Source(
    "settings",
    pa.schema(
        [
            ("settle_on", DAY),
            ("oldest", DAY),  # the earliest business date still accepted
            ("farthest", DAY),  # a tap dated later than this is not waited for
            ("limit_fen", INT),
            ("load_limit_fen", INT),
            ("accept_unexplained", pa.bool_()),
            ("late_days", INT),
            ("scheme", TEXT),
        ]
    ),
)
BATCHES: Final = Source("batches", pa.schema([("batch_no", INT), ("batch", TEXT)]))
SUSPECTS: Final = Source(
    "suspects",
    pa.schema(
        [
            ("batch_no", INT),
            ("position", INT),
            ("terminal_id", INT),
            ("sequence", INT),
            ("decoded", pa.bool_()),
            ("tac_ok", pa.bool_()),
            ("fingerprint", INT),
        ]
    ),
)  # records whose name came more than once in this run, or may have come in an earlier one
REPEATS: Final = Source(
    "repeats", pa.schema([("batch_no", INT), ("position", INT), ("repeat", INT)])
)  # what was found of them
TERMINALS: Final = Source("terminals", arrow_schema(tables.TERMINALS).append(pa.field("terminal_id", INT)))
CARDS: Final = Source("cards", arrow_schema(tables.CARDS).append(pa.field("card", INT)))
HOTLIST: Final = Source("hotlist", arrow_schema(tables.HOTLIST).append(pa.field("card", INT)))
SAMS: Final = Source("sams", arrow_schema(tables.SAMS).append(pa.field("terminal_id", INT)))
ISSUERS: Final = Source("issuers", pa.schema([("issuer", TEXT)]))
LIMITS: Final = Source("limits", pa.schema([("service", INT), ("most_fen", INT)]))
REASONS: Final = Source("reasons", pa.schema([("reason_no", INT), ("reason", TEXT)]))
LAST_SEQUENCES: Final = Source(
    "last_sequences", pa.schema([("terminal_id", INT), ("last_sequence", INT)])
)  # newest record known of a terminal: only older ones can have been delivered before
HISTORY: Final = Source(
    "history", pa.schema([("terminal_id", INT), ("sequence", INT), ("fingerprint", INT)])
)  # accepted taps young enough to be repeated
STATE: Final = Source(
    "state",
    pa.schema(
        [
            ("card", INT),
            ("pan", TEXT),
            ("kind", INT),
            ("lo", INT),
            ("hi", INT),
            ("balance_fen", INT),  # after the record with counter `hi`
            ("last_at", MOMENT),
            ("opened_on", DAY),  # business date of the lowest record in the interval
        ]
    ),
)
OPEN_LOADS: Final = Source(
    "open_loads",
    pa.schema(
        [
            ("card", INT),
            ("pan", TEXT),
            ("counter", INT),
            ("before_fen", INT),
            ("amount_fen", INT),
            ("loaded_at", MOMENT),
        ]
    ),
)  # loads a coming purchase may still have to be explained by
RATES: Final = Source(
    "rates",
    pa.schema(
        [
            ("rate_service", INT),
            ("acquirer", TEXT),
            ("issuer", TEXT),
            ("business_date", DAY),
            ("contract", TEXT),
            ("charge_bp", INT),  # the whole of which the next two are parts
            ("acquirer_bp", INT),
            ("issuer_bp", INT),
            ("concession_payer", TEXT),
            ("transfer_payer", TEXT),
            ("fee_no", INT),  # of the contract in this run
            ("fees", TEXT),  # its steps: `clearing.fees`
        ]
    ),
)
PLACES: Final = Source(
    "places",
    pa.schema(
        [
            ("place_no", INT),
            ("service", INT),
            ("tariff_version", INT),
            ("acquirer", TEXT),
            ("line", INT),
            ("station", INT),
            ("entry_line", INT),
            ("entry_station", INT),
            ("period", TEXT),  # of the network's day; empty where nothing depends on it
            ("concession_payer", TEXT),
            ("transfer_payer", TEXT),
        ]
    ),
)
WEIGHTS: Final = Source(
    "weights",
    pa.schema(
        [
            ("place_no", INT),
            ("rank", INT),  # order of the participants: ties go to the earlier
            ("participant", TEXT),
            ("weight", INT),
            ("whole", INT),
            ("bears_fare", INT),  # 1: the acquirer, who hands the fare on
            ("bears_concession", INT),
            ("bears_transfer", INT),
        ]
    ),
)
PERIODS: Final = Source(
    "periods", pa.schema([("day", INT), ("from_s", INT), ("until_s", INT), ("period", TEXT)])
)  # parts of the day of the network in force; `day` is 1 Monday to 7 Sunday or as in `special_days`
SPECIAL_DAYS: Final = Source("special_days", pa.schema([("on_date", DAY), ("day", INT)]))
PLATFORMS: Final = Source("platforms", pa.schema([("line", INT), ("stop", INT), ("station_no", INT)]))
OWED_PARTS: Final = Source(
    "owed_parts", pa.schema([("participant", TEXT), ("receivable_fen", INT), ("payable_fen", INT)])
)  # positions of the parts a run was cut into
REVENUE_PARTS: Final = Source("revenue_parts", arrow_schema(tables.REVENUE))
VOLUME_PARTS: Final = Source("volume_parts", arrow_schema(tables.VOLUMES))
SEQUENCE_PARTS: Final = Source("sequence_parts", LAST_SEQUENCES.arrow)
