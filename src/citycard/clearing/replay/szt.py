# SPDX-License-Identifier: Apache-2.0
"""The file format of Shenzhen Tong (深圳通) records as the city's open data platform published them."""

from __future__ import annotations

from typing import Final

from citycard.clearing.replay.fileformat import FileFormat, Stations
from citycard.services.contract import Event

SZT: Final = FileFormat(
    name="szt",
    source="Shenzhen government open data platform, data set 29200_00403601",
    scheme="shenzhen",
    columns={
        "tapped_at": "deal_date",
        "card": "card_no",
        "event": "deal_type",
        "company": "company_name",
        "vehicle": "car_no",
        "station": "station",
        "transfer": "conn_mark",
        "list_fen": "deal_value",
        "charged_fen": "deal_money",
        "terminal": "equ_no",
    },
    events={
        "地铁入站": ("metro", Event.ENTER),
        "地铁出站": ("metro", Event.EXIT),
        "巴士": ("bus", Event.BOARD),
    },
    transfer_marks={"0": False, "1": True},
    classes=("ordinary", "student", "free", "full_fare"),
    card_pattern="[A-J]{8,9}",
    stations=Stations(
        placeholders=("-",),
        repairs={"?I岭": "孖岭"},  # line 9; the first character is not in the character set it went through
        strip_suffix="站",
    ),
)
