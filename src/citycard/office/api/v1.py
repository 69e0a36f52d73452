# SPDX-License-Identifier: Apache-2.0
"""The API of the terminals: thin handlers over intake, a bearer token each, sizes checked before reading."""

from __future__ import annotations

from typing import Any, Final

from django.db import connection
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Status
from ninja.security import HttpBearer

from citycard.core.record import BATCH_RECORDS_MAX, HEADER_SIZE, RECORD_SIZE
from citycard.office import clock
from citycard.office.api import errors, migrations, partners
from citycard.office.api.shapes import (
    BatchStored,
    Error,
    Health,
    HotlistDelta,
    LoadAllowed,
    LoadAsk,
    LoadProof,
    LoadReversal,
    LoadState,
    Parameters,
)
from citycard.office.cards import hotlist
from citycard.office.intake import batches, loads, parameters, tokens
from citycard.office.participants.models import Terminal

BATCH_MOST: Final = HEADER_SIZE + BATCH_RECORDS_MAX * RECORD_SIZE
JSON_MOST: Final = 16 * 1024  # the largest request of the loads is a few hundred bytes
REFUSED: Final = {401: Error, 403: Error, 413: Error, 422: Error, 503: Error}


class TerminalToken(HttpBearer):
    """Knows a terminal by its token and refuses what is too large before it is read."""

    def authenticate(self, request: HttpRequest, token: str) -> Terminal | None:
        """The terminal, kept as `request.auth`."""
        most = BATCH_MOST if request.path.endswith("/batches") else JSON_MOST
        size = request.META.get("CONTENT_LENGTH") or "0"
        if not size.isdigit() or int(size) > most:
            raise errors.TOO_LARGE(size=size, most=most)
        return tokens.terminal_of(token)


api = NinjaAPI(
    title="citycard office",
    version="1",
    description="What terminals and partners bring and fetch. Errors are `{code, message}`; a code stays.",
    auth=TerminalToken(),
    urls_namespace="office_api",
)
errors.install(api)
api.add_router("/partners", partners.router)


def terminal_of(request: HttpRequest) -> Terminal:
    """The terminal that asks."""
    terminal = request.auth  # type: ignore[attr-defined]
    assert isinstance(terminal, Terminal)
    return terminal


def _own(request: HttpRequest, terminal_id: str) -> Terminal:
    """The terminal that asks, if it asks for itself."""
    terminal = terminal_of(request)
    if terminal_id != terminal.pk:
        raise errors.OTHER_TERMINAL(terminal=terminal.pk, found=terminal_id)
    return terminal


@api.post(
    "/batches",
    response={200: BatchStored, 201: BatchStored, 409: Error, **REFUSED},
    summary="Bring a batch",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
def bring_batch(request: HttpRequest, pending: int | None = None) -> Any:
    """Durable when answered: 201 stored, 200 known, 409 another batch has this number (an alarm is raised).

    `pending` may tell how many records still wait in the terminal.
    """
    terminal = terminal_of(request)
    receipt = batches.receive(request.body, terminal, pending)
    if receipt.status == batches.CONFLICT:
        raise batches.BATCH_CONFLICT(batch=receipt.batch, terminal=terminal.pk)
    return Status(201 if receipt.status == batches.STORED else 200, receipt)


@api.get(
    "/terminals/{terminal}/parameters",
    response={200: Parameters, 304: None, **REFUSED},
    summary="Fetch parameters",
)
def fetch_parameters(request: HttpRequest, terminal: str, have: int = 0) -> Any:
    """The parameters now, or 304 when `have` is their version."""
    _own(request, terminal)
    current = parameters.current()
    return HttpResponse(status=304) if current["version"] == have else Status(200, current)


@api.get("/hotlist", response={200: HotlistDelta, 304: None, **REFUSED}, summary="Fetch the hotlist")
def fetch_hotlist(request: HttpRequest, have: int = 0) -> Any:
    """What changed since version `have`, the whole list from 0, or 304 when nothing did."""
    delta = hotlist.delta(have)
    return HttpResponse(status=304) if delta.version == have else Status(200, delta)


@api.post("/loads", response={200: LoadAllowed, 404: Error, 409: Error, **REFUSED}, summary="Ask for a load")
def ask_load(request: HttpRequest, given: LoadAsk) -> Any:
    """Reserve the money and give MAC2; the same `request_id` gets the same answer."""
    terminal = _own(request, given.terminal)
    ask = loads.Ask(
        given.pan, given.issuer, given.request_id, bytes.fromhex(given.card_answer), given.amount_fen
    )
    load = loads.authorise(terminal, ask)
    return Status(200, {"load_id": load.id, "at": load.at, "mac2": load.mac2})


@api.post(
    "/loads/{load_id}/confirm",
    response={200: LoadState, 404: Error, 409: Error, **REFUSED},
    summary="Prove a load",
)
def confirm_load(request: HttpRequest, load_id: str, given: LoadProof) -> Any:
    """The card was credited: post the load."""
    load = loads.confirm(terminal_of(request), load_id, bytes.fromhex(given.tac), given.balance_after_fen)
    return Status(200, {"status": load.status})


@api.post(
    "/loads/{load_id}/reverse",
    response={200: LoadState, 404: Error, 409: Error, **REFUSED},
    summary="Give up a load",
)
def reverse_load(request: HttpRequest, load_id: str, given: LoadReversal) -> Any:
    """The card proves that it was not credited: void the load."""
    proof = given.proof
    load = loads.reverse(terminal_of(request), load_id, proof.status_word, proof.online_counter)
    return Status(200, {"status": load.status})


@api.get("/health", response={200: Health, 503: Error}, auth=None, summary="Is the office there?")
def health(request: HttpRequest) -> Any:
    """Answers when the database does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Status(200, {"status": "ok", "time": clock.now()})


api.add_router("/migrations", migrations.router)
