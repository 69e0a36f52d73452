# SPDX-License-Identifier: Apache-2.0
"""The JSON that goes over the API, as declared to OpenAPI."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import ConfigDict, Field

Hex = Annotated[str, Field(pattern=r"^(?:[0-9a-fA-F]{2})*$", max_length=64)]


class Strict(Schema):
    """A request: unknown fields are refused, so that a typing error is heard."""

    model_config = ConfigDict(extra="forbid")


class Error(Schema):
    """Every answer that is not a success."""

    code: str
    message: str


class FileReceived(Schema):
    """`taken`, `waiting` for those before it, `known` from before, or `fetched`."""

    name: str
    status: str


class FileList(Schema):
    """Names of exchange files."""

    files: list[str]


class BatchStored(Schema):
    """`stored` now, or `known`: the same batch was stored before."""

    status: str
    digest: str
    batch: int
    count: int


class Parameters(Schema):
    """What a terminal works by; `tariffs` by service code, `issuers` whose cards are accepted."""

    version: int
    hotlist_version: int
    business: dict[str, Any]
    tariffs: dict[str, Any]
    tariff_versions: dict[str, int]
    issuers: list[str]


class HotlistDelta(Schema):
    """Cards to add to and remove from the list of version `since`; from 0 it is the whole list."""

    version: int
    since: int
    add: list[str]
    remove: list[str]


class LoadAsk(Strict):
    """A card asks to be loaded: `card_answer` is its answer to INITIALIZE FOR LOAD."""

    terminal: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    pan: Annotated[str, Field(pattern=r"^[0-9]{20}$")]
    issuer: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    request_id: Annotated[str, Field(min_length=1, max_length=64)]
    card_answer: Hex
    amount_fen: Annotated[int, Field(strict=True, gt=0, lt=2**32)]


class LoadAllowed(Schema):
    """Credit the card with this moment and MAC2; `at` is what MAC2 covers."""

    load_id: str
    at: datetime
    mac2: str


class LoadProof(Strict):
    """The card's TAC."""

    tac: Hex
    balance_after_fen: Annotated[int, Field(strict=True, ge=0, lt=2**32)]


class AbsenceProof(Strict):
    """What the card said: the status word of GET TRANSACTION PROVE, and its online counter."""

    status_word: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{4}$")]
    online_counter: Annotated[int, Field(strict=True, ge=0, lt=2**16)]


class LoadReversal(Strict):
    """The card was not credited, and this is how one knows."""

    proof: AbsenceProof


class LoadState(Schema):
    """Where a load stands: `posted` or `voided`."""

    status: str


class Health(Schema):
    """The office answers and its database answers it."""

    status: str
    time: datetime
