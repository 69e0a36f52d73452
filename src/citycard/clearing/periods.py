# SPDX-License-Identifier: Apache-2.0
"""In which part of a network's day a journey was made: small tables of the network, joined to taps in bulk.

A journey belongs to the period in which it began: the moment of its entry where the record carries one,
else the moment of the tap itself. The date of that moment says which kind of day counts. Only a journey
between two different open stations of the network has a period; of every other tap it is empty, so that
nothing else is told apart by the time of day.
"""

from __future__ import annotations

from typing import Final

import ibis
import pyarrow as pa

from citycard.clearing import sources as s
from citycard.clearing.apportion.network import Network
from citycard.clearing.engine import Expression, Source

HOLIDAY, WORKED = 8, 9  # days of rest and of work by date, beside the seven of the week
TABLES: Final = (s.PERIODS, s.SPECIAL_DAYS, s.PLATFORMS)


def tables(network: Network) -> dict[Source, pa.Table]:
    """What `timed` and `within` join: `sources.PERIODS`, `SPECIAL_DAYS` and `PLATFORMS` of a network."""
    days = network.days
    works = {day: day not in days.rest_days for day in range(1, 8)} | {HOLIDAY: False, WORKED: True}
    periods = [
        {"day": day, "from_s": period.from_s, "until_s": period.until_s, "period": period.name}
        for day, at_work in works.items()
        for period in network.periods
        if period.on(at_work)
    ]
    special = dict.fromkeys(days.holidays, HOLIDAY) | dict.fromkeys(days.worked, WORKED)
    numbers = {station.id: number for number, station in enumerate(network.stations) if not station.closed}
    platforms = [
        {"line": line, "stop": stop, "station_no": numbers[station]}
        for (line, stop), station in network.platforms.items()
        if station in numbers
    ]
    rows = (periods, [{"on_date": on, "day": day} for on, day in sorted(special.items())], platforms)
    return {
        source: pa.Table.from_pylist(found, schema=source.arrow)
        for source, found in zip(TABLES, rows, strict=True)
    }


def timed(taps: Expression, periods: Expression, special: Expression) -> Expression:
    """Taps with the period of the day, whatever service they are of; null where none is declared."""
    moment = ibis.coalesce(taps.entry_at, taps.tapped_at)
    t = taps.mutate(
        began_on=moment.date(),
        began_s=(moment.hour() * 3600 + moment.minute() * 60 + moment.second()).cast("int64"),
        weekday=(moment.day_of_week.index() + 1).cast("int64"),
    )
    t = t.left_join(special, t.began_on == special.on_date).select(t, special_day=special.day)
    t = t.mutate(day=ibis.coalesce(t.special_day, t.weekday))
    inside = [t.day == periods.day, t.began_s >= periods.from_s, t.began_s < periods.until_s]
    return t.left_join(periods, inside).select(*(t[name] for name in taps.columns), periods.period)


def within(taps: Expression, platforms: Expression) -> Expression:
    """The same with an empty period wherever the tap is no journey between two stations of the network."""
    entries = platforms.select(begin_line="line", begin_stop="stop", begin_no="station_no")
    exits = platforms.select(end_line="line", end_stop="stop", end_no="station_no")
    t = taps.left_join(
        entries, [taps.entry_line == entries.begin_line, taps.entry_station == entries.begin_stop]
    ).select(taps, "begin_no")
    t = t.left_join(exits, [t.line == exits.end_line, t.station == exits.end_stop]).select(t, "end_no")
    journey = (t.begin_no != t.end_no).fill_null(False)
    period = journey.ifelse(t.period.fill_null(""), "")
    return t.mutate(period=period).select(*taps.columns)
