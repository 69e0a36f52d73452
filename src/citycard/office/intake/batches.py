# SPDX-License-Identifier: Apache-2.0
"""Takes batches in: durable before the answer, the same batch twice is one, another under its number alarms.

The order is file, row, answer. A process that dies after the file leaves bytes without a row; one that dies
after the row leaves a row without an answer; in both the terminal repeats the upload and it ends as it
should. The terminal's row is locked meanwhile, so two uploads of one terminal never pass each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from citycard.core.problem import declare
from citycard.core.record import HEADER_SIZE, Batch, open_batch
from citycard.keys import KeyName, Vault, check_batch
from citycard.office import clock, custody
from citycard.office.intake import alarms, lake
from citycard.office.intake.models import RawBatch
from citycard.office.issuing import sams
from citycard.office.participants.models import Terminal

STORED, KNOWN, CONFLICT = "stored", "known", "conflict"
GAPS_MAX: Final = 1000  # batch numbers listed as missing; more tell nothing more

BATCH_MAC = declare(
    "BATCH_MAC",
    "The MAC of batch {batch} does not verify with the key of terminal {terminal}. Nothing was stored; check"
    " the terminal's security module.",
    "终端 {terminal} 的批次 {batch} 的 MAC 校验失败，未保存；请检查终端安全模块。",
)
BATCH_TERMINAL = declare(
    "BATCH_TERMINAL",
    "The batch is of terminal {found}, the token is of terminal {terminal}. Nothing was stored.",
    "批次属于终端 {found}，而令牌属于终端 {terminal}，未保存。",
)
BATCH_ACQUIRER = declare(
    "BATCH_ACQUIRER",
    "The batch names acquirer {found}, terminal {terminal} belongs to {acquirer}. Nothing was stored.",
    "批次的受理机构为 {found}，而终端 {terminal} 属于 {acquirer}，未保存。",
)
BATCH_CONFLICT = declare(
    "BATCH_CONFLICT",
    "Batch {batch} of terminal {terminal} was stored before with other content. It is kept as it was and an"
    " alarm is raised.",
    "终端 {terminal} 的批次 {batch} 此前已以不同内容保存；原内容保留，并已告警。",
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch: `stored`, `known` (stored before) or `conflict` (its number is taken)."""

    status: str
    digest: str
    batch: int
    count: int


def receive(raw: bytes, terminal: Terminal, pending_records: int | None = None) -> Receipt:
    """Check and keep a batch of this terminal. `BatchError` when it is malformed; BATCH_TERMINAL,
    BATCH_ACQUIRER, BATCH_MAC when it is not this terminal's. Conflicts are answered, and raise an alarm.
    """
    batch = open_batch(raw)
    _check_origin(batch, terminal)
    digest = batch.digest
    with transaction.atomic():
        terminal = Terminal.objects.select_for_update().get(pk=terminal.pk)
        number, count = batch.header["batch"], batch.header["count"]
        stored = RawBatch.objects.filter(terminal_id=terminal.pk, number=number).values_list("digest").first()
        if stored is None:
            _keep(batch, digest, terminal)
            status = STORED
            _suspect(batch, digest, terminal)
        elif stored[0] == digest:
            status = KNOWN
        else:
            status = CONFLICT
            alarms.raise_alarm(
                alarms.BATCH_CONFLICT,
                terminal.pk,
                f"{number}:{digest}",
                batch=number,
                stored=stored[0],
                came=digest,
            )
        _note_health(batch, terminal, pending_records)
    return Receipt(status, digest, number, count)


def verify_mac(vault: Vault, batch: Batch) -> bool:
    """Whether the header's MAC was made with the terminal's batch key, in any version the vault has."""
    held = vault.keys()
    versions = {key.version for key in held if key.name == KeyName.BATCH}
    return any(
        check_batch(vault, batch.raw[:HEADER_SIZE], version) for version in sorted(versions, reverse=True)
    )


def missing(terminal_id: str) -> list[int]:
    """Batch numbers below the newest that never arrived, at most `GAPS_MAX` of them."""
    numbers = RawBatch.objects.filter(terminal_id=terminal_id)
    newest = numbers.aggregate(newest=Max("number"))["newest"] or 0
    gaps: list[int] = []
    expected = 1
    for number in numbers.order_by("number").values_list("number", flat=True).iterator():
        gaps += range(expected, min(number, expected + GAPS_MAX - len(gaps)))
        expected = number + 1
        if len(gaps) >= GAPS_MAX or number == newest:
            break
    return gaps


def _check_origin(batch: Batch, terminal: Terminal) -> None:
    header = batch.header
    if header["terminal"].hex() != terminal.pk:
        raise BATCH_TERMINAL(found=header["terminal"].hex(), terminal=terminal.pk)
    if header["acquirer"].hex() != terminal.acquirer_id:
        raise BATCH_ACQUIRER(
            found=header["acquirer"].hex(), terminal=terminal.pk, acquirer=terminal.acquirer_id
        )
    if not verify_mac(custody.open_vault(), batch):
        alarms.raise_alarm(alarms.BATCH_MAC, terminal.pk, batch.digest, batch=header["batch"])
        raise BATCH_MAC(batch=header["batch"], terminal=terminal.pk)


def _suspect(batch: Batch, digest: str, terminal: Terminal) -> None:
    """Raise an alarm when a stolen module closed this batch; clearing rejects the records that it made."""
    at = sams.distrusted().get(terminal.pk)
    closed_at = batch.header["closed_at"] or clock.now()
    if at is not None and closed_at >= at:
        alarms.raise_alarm(
            alarms.SAM_STOLEN, terminal.pk, digest, batch=batch.header["batch"], since=at.isoformat()
        )


def _keep(batch: Batch, digest: str, terminal: Terminal) -> None:
    """The file, then the row."""
    now = clock.now()
    header = batch.header
    path = lake.store(Path(settings.CITYCARD_HOME), now.date(), digest, batch.raw)
    RawBatch.objects.create(
        digest=digest,
        terminal_id=terminal.pk,
        number=header["batch"],
        acquirer=terminal.acquirer_id,
        count=header["count"],
        total_fen=header["total_fen"],
        closed_at=header["closed_at"] or now,
        received_at=now,
        path=path.as_posix(),
    )


def _note_health(batch: Batch, terminal: Terminal, pending_records: int | None) -> None:
    """What an upload tells of its terminal; versions and clock from its newest batch only.

    The skew is the moment of closing less the office's clock: positive when the terminal's clock runs ahead,
    negative also when the batch waited.
    """
    now = clock.now()
    header = batch.header
    seen: dict[str, Any] = {"last_seen_at": now}
    if pending_records is not None:
        seen["pending_records"] = pending_records
    if header["batch"] >= terminal.last_batch:
        seen["last_batch"] = header["batch"]
        seen["parameter_version"] = header["parameter_version"]
        seen["hotlist_version"] = header["hotlist_version"]
        if header["closed_at"] is not None:
            seen["clock_skew_s"] = round((header["closed_at"] - now).total_seconds())
    Terminal.objects.filter(pk=terminal.pk).update(**seen)
