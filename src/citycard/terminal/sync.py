# SPDX-License-Identifier: Apache-2.0
"""Between terminal and office: records up in batches, parameters and hotlist down, as often as it takes.

A batch is closed once, with the PSAM's MAC, and sent byte for byte the same until the office has it: an
answer that was lost costs a repetition, which the office knows. Batches go in order; one that the office
will never take (its number is taken by other content, its MAC does not verify) is laid aside in a file of
its own, told, and does not hold up those behind it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from citycard.core.dialogue import SAM, Refused, batch_mac, converse
from citycard.core.problem import Problem, declare
from citycard.core.record import build_header
from citycard.terminal.host import OfficeLoads
from citycard.terminal.journal import PendingBatch
from citycard.terminal.loading import tell_host
from citycard.terminal.loop import Terminal
from citycard.terminal.office import API, OFFICE_ANSWER, Unreachable, call, said
from citycard.terminal.parameters import (
    HOTLIST_GAP,
    PARAMETERS_INVALID,
    HotlistDelta,
    Shelf,
    confirmed,
    read_parameters,
)

ATTEMPTS: Final = 4
WAIT_S: Final = 0.5  # before the second attempt; doubles each time
WAIT_MAX_S: Final = 30.0
BATCHES_MAX: Final = 64  # closed in one run: a quarter of a million records

BATCH_CONFLICT = declare(
    "BATCH_QUARANTINED",
    "The office will not take batch {batch} of terminal {terminal}: {why}. It was laid aside as {name}; "
    "have its records entered by hand.",
    "后台拒收终端 {terminal} 的批次 {batch}：{why}。该批次已另存为 {name}，请人工处理。",
)
BATCH_UNSIGNED = declare(
    "BATCH_UNSIGNED",
    "The security module gives no MAC for a batch ({why}). The records are kept; check the module.",
    "安全模块未能为批次生成 MAC（{why}）。记录已保留，请检查模块。",
)


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one run did: records and batches delivered, what came down, and what went wrong, in words.

    `reached` is False when the office could not be reached; `pending` are the records still to deliver.
    """

    reached: bool = True
    batches: int = 0
    records: int = 0
    known: int = 0  # batches the office had already
    pending: int = 0
    parameters_version: int = 0
    hotlist_version: int = 0
    problems: tuple[Problem, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything was delivered and nothing is wrong."""
        return self.reached and not self.problems and not self.remarks and self.pending == 0


@dataclass(slots=True)
class _Run:
    """Counts of the run under way."""

    batches: int = 0
    records: int = 0
    known: int = 0
    reached: bool = True
    problems: list[Problem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class Sync:
    """One terminal's way to the office; `client` has the office's root as its base URL.

    `shelf` keeps what comes down (none: in memory only). `sleep` and `random` serve the waits between
    attempts: doubling, scattered over half to one and a half so that a city does not knock all at once.
    """

    def __init__(
        self,
        client: httpx.Client,
        token: str,
        shelf: Shelf | None = None,
        *,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
        random: Random | None = None,
    ) -> None:
        self._client = client
        self._token = token
        self._shelf = shelf
        self._random = random or Random()
        self._retrying = Retrying(
            stop=stop_after_attempt(attempts),
            wait=self._wait,
            retry=retry_if_exception_type(Unreachable),
            sleep=sleep,
            reraise=True,
        )

    def run(self, terminal: Terminal) -> SyncReport:
        """Everything once, in the order of weight: records, ends of loads, parameters, hotlist.

        Raises nothing for what the office or the network does; problems of the terminal's own disk are
        raised. Safe to be killed anywhere and run again.
        """
        run = _Run()
        steps = (self._upload, self._tell, self._parameters, self._hotlist)
        for step in steps:
            try:
                step(terminal, run)
            except Unreachable as fault:
                run.reached = False
                run.remarks.append(str(fault))
                break
            except Problem as problem:
                if problem.code not in THEIRS:
                    raise
                run.problems.append(problem)
                if problem.code == "OFFICE_TOKEN":
                    break
        terminal.journal.compact()
        parameters = terminal.parameters
        return SyncReport(
            run.reached,
            run.batches,
            run.records,
            run.known,
            terminal.journal.pending_records,
            parameters.version,
            parameters.hotlist.version,
            tuple(run.problems),
            tuple(run.remarks),
        )

    # Up

    def _upload(self, terminal: Terminal, run: _Run) -> None:
        journal = terminal.journal
        for batch in journal.pending_batches():
            self._deliver(terminal, batch, run)
        for _ in range(BATCHES_MAX):
            records = journal.unbatched()
            if not records:
                return
            self._deliver(terminal, journal.close_batch(sealed(terminal, records)), run)

    def _deliver(self, terminal: Terminal, batch: PendingBatch, run: _Run) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        waiting = {"pending": terminal.journal.pending_records - batch.count}
        response = self._call("POST", "/batches", content=batch.raw, headers=headers, params=waiting)
        if response.status_code in (200, 201):
            self._check_receipt(batch, response)
            run.known += response.status_code == 200
        elif response.status_code in (409, 422) and said(response).startswith("BATCH_"):
            name = terminal.journal.keep(batch, "quarantine")
            fields = {"batch": batch.batch, "terminal": terminal.config.terminal.hex()}
            run.problems.append(BATCH_CONFLICT(**fields, why=said(response), name=name))
            terminal.journal.acknowledge(batch.batch)
            return
        else:
            raise OFFICE_ANSWER(path="/batches", status=response.status_code, why=said(response))
        terminal.journal.acknowledge(batch.batch)
        run.batches += 1
        run.records += batch.count

    def _check_receipt(self, batch: PendingBatch, response: httpx.Response) -> None:
        """The office names the digest of what it stored; anything else is no receipt."""
        answer = _object(response, "/batches")
        if answer.get("digest") != hashlib.sha256(batch.raw).hexdigest():
            raise OFFICE_ANSWER(path="/batches", status=response.status_code, why="the digest is not ours")

    def _tell(self, terminal: Terminal, run: _Run) -> None:
        run.remarks.extend(tell_host(terminal.journal, OfficeLoads(self._client, self._token)))
        for intent in terminal.journal.undecided.values():
            record = intent.record
            run.remarks.append(f"undecided: {intent.event} of card {record.pan} at {record.tapped_at}")

    # Down

    def _parameters(self, terminal: Terminal, run: _Run) -> None:
        held = terminal.parameters
        path = f"/terminals/{terminal.config.terminal.hex()}/parameters"
        response = self._call("GET", path, params={"have": held.version})
        at = terminal.clock().replace(microsecond=0)
        if response.status_code == 304:
            terminal.parameters = confirmed(held, at)
            if self._shelf:
                self._shelf.confirm(at)
            return
        raw = _object(response, path, 200)
        fresh = read_parameters(raw, held.hotlist, at)
        if self._shelf:
            self._shelf.keep_parameters(raw, at)
        terminal.parameters = fresh

    def _hotlist(self, terminal: Terminal, run: _Run) -> None:
        held = terminal.parameters.hotlist
        try:
            fresh = held.apply(
                self._difference(held.version) or HotlistDelta(version=held.version, since=held.version)
            )
        except Problem as problem:
            if problem.declared is not HOTLIST_GAP:
                raise
            whole = self._difference(0)
            fresh = held if whole is None else held.apply(whole)
        if fresh is held:
            return
        if self._shelf:
            self._shelf.keep_hotlist(fresh)
        terminal.parameters = replace(terminal.parameters, hotlist=fresh)

    def _difference(self, have: int) -> HotlistDelta | None:
        response = self._call("GET", "/hotlist", params={"have": have})
        if response.status_code == 304:
            return None
        try:
            return HotlistDelta.model_validate(_object(response, "/hotlist", 200))
        except ValueError as fault:
            raise PARAMETERS_INVALID(where="hotlist", why=str(fault).splitlines()[0]) from None

    # The way

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._retrying.copy()(call, self._client, method, API + path, self._token, **more)

    def _wait(self, state: RetryCallState) -> float:
        seconds: float = min(WAIT_S * 2 ** (state.attempt_number - 1), WAIT_MAX_S)
        return seconds * (0.5 + self._random.random())


THEIRS: Final = frozenset(
    {
        "OFFICE_TOKEN", "OFFICE_ANSWER", "PARAMETERS_INVALID", "TARIFF_INVALID", "HOTLIST_GAP",
        "BATCH_UNSIGNED", "DIALOGUE_BREACH",
    }
)  # fmt: skip


def sealed(terminal: Terminal, records: list[bytes]) -> bytes:
    """The header of a batch of these records with the PSAM's MAC, 112 bytes. Problem: BATCH_UNSIGNED."""
    config, parameters = terminal.config, terminal.parameters
    header = build_header(
        records,
        terminal=config.terminal,
        acquirer=config.acquirer,
        batch=terminal.journal.next_batch,
        closed_at=terminal.clock().replace(microsecond=0),
        hotlist_version=parameters.hotlist.version,
        parameter_version=parameters.version,
    )
    dialogue = batch_mac(config.terminal, header, config.batch_key_version)
    mac = converse(dialogue, {SAM: terminal.sam.process})
    if isinstance(mac, Refused):
        raise BATCH_UNSIGNED(why=mac)
    return header + mac


def _object(response: httpx.Response, path: str, *statuses: int) -> dict[str, Any]:
    """The JSON object of an answer; OFFICE_ANSWER when it is none or has another status."""
    if statuses and response.status_code not in statuses:
        raise OFFICE_ANSWER(path=path, status=response.status_code, why=said(response))
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise OFFICE_ANSWER(path=path, status=response.status_code, why="it is no JSON object")
    return body
