# SPDX-License-Identifier: Apache-2.0
"""Takes clearing's answer into the books, all in one transaction, and closes the business date.

    loads      proven by their records: the pending transfer is posted; one never seen here is booked, alarmed
    purchases  card:{pan} -> float:{issuer}, one transfer per card; what the account cannot carry is taken
               from suspense:{issuer} and alarmed: the TAC proves the purchase, and its load may only be late;
               what the account holds at a later date goes back to suspense
    in brief   where clearing tells totals: all cards of an issuer are one account, purses:{issuer}, and its
               loads and purchases are one transfer each; a load the office was asked for is proven as ever
    positions  position:{p} <-> clearing:{date}, one chain, so that clearing:{date} ends at zero

Transfer ids are made of the date and what they are for. The run's row is written in the same transaction:
killed anywhere before the end nothing is there, and the next try does it all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, Final

from django.db import connection, models, transaction

from citycard.core.ledger import PLAIN, Flag, Result, Transfer
from citycard.core.record import Kind
from citycard.core.tables import Row
from citycard.office import clock, ledger
from citycard.office.intake import alarms, loads
from citycard.office.intake.models import Load
from citycard.office.ledger import chart
from citycard.office.settlement import answer as clearing
from citycard.office.settlement import limits, outward, problems, suspense
from citycard.office.settlement.answer import ACCEPTED, REJECTED, SUSPENDED, Answer
from citycard.office.settlement.models import (
    Movement,
    PositionRow,
    RevenueRow,
    SettlementRun,
    Tap,
    VolumeRow,
)

TAPS_AT_ONCE: Final = 5000  # rows held in memory while they are stored
CARDS_PER_QUERY: Final = 500
BELIEVED: Final = (Load.Status.VOIDED, Load.Status.PENDING, Load.Status.POSTED)  # the last most
LOADS_KNOWN: Final = timedelta(days=31)  # loads asked for before that are not looked for among cleared ones


@dataclass(frozen=True, slots=True)
class Posting:
    """What posting a business date did; `repeated` when it had been done before with the same answer."""

    settle_on: date
    taps: int
    accepted: int
    suspended: int
    rejected: int
    reasons: dict[str, int]
    charged_fen: int
    loaded_fen: int
    suspense_fen: int
    repeated: bool


def post_run(settle_on: date) -> Posting:
    """Post clearing's answer and close the date; the same answer again changes nothing.

    BUSINESS_DATE_OTHERWISE for another answer to a closed date, CLEARING_* when the answer is missing,
    unreadable or contradicts itself, LEDGER_REFUSED when the books refuse. Then nothing has changed.
    """
    answer = clearing.read(settle_on, outward.folder(settle_on) / "out")
    with transaction.atomic():
        closed = SettlementRun.objects.select_for_update().filter(pk=settle_on).first()
        if closed is None:
            return _posting(_post(answer), repeated=False)
    if closed.digest != answer.digest:
        raise problems.BUSINESS_DATE_OTHERWISE(date=settle_on, folder=answer.folder)
    return _posting(closed, repeated=True)


def _post(answer: Answer) -> SettlementRun:
    run = SettlementRun.objects.create(
        settle_on=answer.settle_on,
        digest=answer.digest,
        posted_at=clock.now(),
        taps=sum(answer.verdicts.values()),
        accepted=answer.verdicts[ACCEPTED],
        suspended=answer.verdicts[SUSPENDED],
        rejected=answer.verdicts[REJECTED],
        reasons=dict(answer.reasons),
        charged_fen=answer.amount_fen(Kind.PURCHASE),
        loaded_fen=answer.amount_fen(Kind.LOAD),
        suspense_fen=0,
        volumes_told=answer.volumes is not None,
    )
    _store_rows(run, answer)
    _open_accounts(answer)
    if answer.brief:
        _post_totals(answer)
    else:
        _post_loads(answer)
        suspense.release(answer.settle_on)
        run.suspense_fen = _post_purchases(answer)
    ledger.post_or_fail(position_transfers(answer.settle_on, answer.positions))
    run.save(update_fields=["suspense_fen"])
    limits.watch(answer.settle_on)
    return run


def _store_rows(run: SettlementRun, answer: Answer) -> None:
    PositionRow.objects.bulk_create(
        PositionRow(run=run, **_columns(PositionRow, r)) for r in answer.positions
    )
    RevenueRow.objects.bulk_create(RevenueRow(run=run, **_columns(RevenueRow, r)) for r in answer.revenue)
    VolumeRow.objects.bulk_create(VolumeRow(run=run, **_columns(VolumeRow, r)) for r in answer.volumes or ())
    _insert(Movement, run, answer.movements)
    _insert(Tap, run, answer.taps())


def _insert(model: type[models.Model], run: SettlementRun, rows: Iterable[Row]) -> None:
    """Store rows that come by the hundred thousand: the ORM's object of each would cost most of the time.

    Values are of the types the table declares; only dates and moments are the database's own affair.
    """
    fields = [field for field in model._meta.concrete_fields if not field.primary_key and field.name != "run"]
    moments = [field if isinstance(field, models.DateField) else None for field in fields]
    names = ["run_id", *(str(field.column) for field in fields)]
    marks = ", ".join(["%s"] * len(names))
    statement = f"INSERT INTO {model._meta.db_table} ({', '.join(names)}) VALUES ({marks})"
    day = run._meta.pk.get_db_prep_save(run.pk, connection)

    def values(row: Row) -> list[Any]:
        found = [row[field.name] for field in fields]
        return [day, *(kind.get_db_prep_save(value, connection) if kind else value
                       for value, kind in zip(found, moments, strict=True))]  # fmt: skip

    source = iter(rows)
    with connection.cursor() as cursor:
        while chunk := list(islice(source, TAPS_AT_ONCE)):
            cursor.executemany(statement, [values(row) for row in chunk])


def _columns(model: type[models.Model], row: Row) -> dict[str, Any]:
    """The row's values under the model's column names; columns the model does not keep are left out."""
    names = {field.name: field.attname for field in model._meta.concrete_fields}
    return {names[name]: value for name, value in row.items() if name in names}


def _open_accounts(answer: Answer) -> None:
    wanted = {chart.clearing(answer.settle_on)}
    wanted |= {chart.position(row["participant"]) for row in answer.positions}
    for row in answer.movements:
        wanted |= {chart.card(row["pan"]), chart.float_of(row["issuer"]), chart.suspense(row["issuer"])}
    for issuer, *_ in answer.flows if answer.brief else ():
        wanted |= {chart.purses_of(issuer), chart.float_of(issuer)}
    ledger.open_accounts(sorted(wanted))


def _post_loads(answer: Answer) -> None:
    """Post what the loads' own records prove."""
    asked = _by_record(_loads_of(answer.loads))
    proven, strange = [], []
    for row in answer.loads:
        load = asked.get((row["pan"], row["counter"], row["tapped_at"]))
        if load is not None and load.amount_fen == row["amount_fen"]:
            proven.append(load)
            continue
        alarms.raise_alarm(
            alarms.LOAD_UNKNOWN, row["pan"], row["tap"], tap=row["tap"], amount_fen=row["amount_fen"]
        )
        strange.append(
            Transfer(
                f"settle:{answer.settle_on}:load:{row['tap']}",
                chart.float_of(row["issuer"]),
                chart.card(row["pan"]),
                row["amount_fen"],
                "load",
                business_date=answer.settle_on,
                ref=row["tap"],
            )
        )
    loads.prove(proven, "", "record")
    ledger.post_or_fail(strange)


def _post_totals(answer: Answer) -> None:
    """One transfer per issuer and kind; loads the office knows are proven and credited to their own cards."""
    since = answer.settle_on - LOADS_KNOWN
    asked = _by_record(Load.objects.select_for_update().filter(at__date__gte=since))
    proven: list[Load] = []
    own_fen: Counter[str] = Counter()  # of each issuer: what stands on the accounts of single cards
    for row in answer.cleared_loads() if asked else ():
        load = asked.get((row["pan"], row["counter"], row["tapped_at"]))
        if load is not None and load.amount_fen == row["amount_fen"]:
            proven.append(load)
            own_fen[row["issuer"]] += load.amount_fen
    loads.prove(proven, "", "record")
    ledger.post_or_fail(_total_transfers(answer, own_fen))


def _total_transfers(answer: Answer, own_fen: Counter[str]) -> list[Transfer]:
    total: Counter[tuple[str, int]] = Counter()
    for (issuer, _, _, kind), fen in answer.flows.items():
        total[issuer, kind] += fen
    transfers = []
    for (issuer, kind), fen in sorted(total.items()):
        load = kind == Kind.LOAD
        amount = fen - own_fen[issuer] if load else fen
        cards, funds = chart.purses_of(issuer), chart.float_of(issuer)
        debit, credit = (funds, cards) if load else (cards, funds)
        name = f"settle:{answer.settle_on}:{'loads' if load else 'purchases'}:{issuer}"
        if amount:
            code = "load" if load else "purchase"
            transfers.append(Transfer(name, debit, credit, amount, code, business_date=answer.settle_on))
    return transfers


def _by_record(found: Iterable[Load]) -> dict[tuple[str, int, datetime], Load]:
    """Loads by what a record says of them; of attempts within one second the one the office believes most.

    The card was credited once: a record proves no second attempt beside one that is posted already.
    """
    asked: dict[tuple[str, int, datetime], Load] = {}
    for load in sorted(found, key=lambda one: BELIEVED.index(Load.Status(one.status))):
        asked[load.card_id, load.counter, load.at] = load
    return asked


def _loads_of(rows: list[Row]) -> Iterator[Load]:
    pans = sorted({row["pan"] for row in rows})
    for at in range(0, len(pans), CARDS_PER_QUERY):
        yield from Load.objects.select_for_update().filter(card__in=pans[at : at + CARDS_PER_QUERY])


def _post_purchases(answer: Answer) -> int:
    """Debit the cards' accounts; returns what went to suspense in fen."""
    transfers = [
        _purchase(answer.settle_on, r)
        for r in answer.movements
        if r["kind"] == Kind.PURCHASE and r["amount_fen"]
    ]
    results = ledger.post(transfers)
    short = [t for t, result in zip(transfers, results, strict=True) if result is Result.EXCEEDS_CREDITS]
    refused = [t for t, result in zip(transfers, results, strict=True) if not result.done and t not in short]
    if refused:
        ledger.post_or_fail(refused)  # raises, naming the first
    issuers = {chart.card(row["pan"]): row["issuer"] for row in answer.movements}
    return sum(_to_suspense(transfer, issuers[transfer.debit]) for transfer in short)


def _purchase(settle_on: date, row: Row) -> Transfer:
    return Transfer(
        f"settle:{settle_on}:card:{row['pan']}",
        chart.card(row["pan"]),
        chart.float_of(row["issuer"]),
        row["amount_fen"],
        "purchase",
        business_date=settle_on,
        ref=f"{row['taps']} taps",
    )


def _to_suspense(wanted: Transfer, issuer: str) -> int:
    """Take from the card's account what it has and from suspense the rest; returns the rest in fen."""
    account = ledger.account(wanted.debit)
    assert account is not None
    has_fen = max(0, account.free_fen)
    missing_fen = wanted.amount_fen - has_fen
    pan = wanted.debit.partition(":")[2]
    steps = [replace(wanted, amount_fen=has_fen, flags=Flag.LINKED)] if has_fen else []
    steps.append(
        replace(
            wanted,
            id=f"settle:{wanted.business_date}:suspense:{pan}",
            debit=chart.suspense(issuer),
            amount_fen=missing_fen,
            code=suspense.TAKEN,
            ref=pan,
        )
    )
    ledger.post_or_fail(steps)
    alarms.raise_alarm(alarms.LEDGER_SUSPENSE, pan, str(wanted.business_date), missing_fen=missing_fen)
    return missing_fen


def position_transfers(settle_on: date, positions: list[Row]) -> list[Transfer]:
    """The chain that books all positions of a date against its clearing account."""
    return chain_of(f"settle:{settle_on}", chart.clearing(settle_on), positions, settle_on, "position")


def chain_of(name: str, against: str, positions: list[Row], settle_on: date, code: str) -> list[Transfer]:
    """Positions booked against an account that ends at zero, all or none."""
    chain = []
    for row in sorted(positions, key=lambda row: str(row["participant"])):
        if row["net_fen"]:
            own = chart.position(row["participant"])
            debit, credit = (against, own) if row["net_fen"] > 0 else (own, against)
            chain.append(
                Transfer(
                    f"{name}:position:{row['participant']}",
                    debit,
                    credit,
                    abs(row["net_fen"]),
                    code,
                    Flag.LINKED,
                    business_date=settle_on,
                )
            )
    return [*chain[:-1], *(replace(last, flags=PLAIN) for last in chain[-1:])]


def _posting(run: SettlementRun, *, repeated: bool) -> Posting:
    return Posting(
        run.settle_on,
        run.taps,
        run.accepted,
        run.suspended,
        run.rejected,
        dict(run.reasons),
        run.charged_fen,
        run.loaded_fen,
        run.suspense_fen,
        repeated,
    )
