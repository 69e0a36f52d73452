# SPDX-License-Identifier: Apache-2.0
"""The register of security modules: issued, hotlisted when stolen, returned, destroyed.

A PSAM's number is its terminal's, and stands in every record it helped to make. From the moment it is
reported stolen its records are rejected in clearing (SAM_HOTLISTED), its batches raise an alarm, and every
terminal is told which modules not to run on. The number is never given to another module.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from citycard.core.problem import declare
from citycard.keys import sam_file
from citycard.keys.envelope import STRONG, Cost
from citycard.keys.vault import Vault
from citycard.office import clock
from citycard.office.audit.chain import Deed, append
from citycard.office.cards import counters
from citycard.office.issuing.models import Sam
from citycard.office.participants.models import Participant
from citycard.office.staff.roles import Actor, Role

FOLDER: Final = "sams"
CUSTODY: Final = frozenset({Role.KEY_CUSTODIAN, Role.ADMINISTRATOR})
TERMINAL_DIGITS: Final = 12
MOVES: Final = {
    Sam.State.HOTLISTED: (Sam.State.IN_USE, Sam.State.RETURNED),
    Sam.State.RETURNED: (Sam.State.IN_USE,),
    Sam.State.DESTROYED: (Sam.State.IN_USE, Sam.State.RETURNED),
}

SAM_ROLE = declare(
    "SAM_ROLE",
    "{actor} may not handle security modules: that takes a key custodian or an administrator.",
    "{actor} 无权管理安全模块：须由密钥管理员或系统管理员办理。",
)
SAM_TERMINAL = declare(
    "SAM_TERMINAL",
    "No {role} module can be issued for terminal {terminal}: {why}.",
    "无法为终端 {terminal} 发行 {role} 模块：{why}。",
)
SAM_UNKNOWN = declare(
    "SAM_UNKNOWN",
    "There is no security module {serial}. `citycard keys sam list` shows them.",
    "没有序列号为 {serial} 的安全模块，可用 `citycard keys sam list` 查看。",
)
SAM_STATE = declare(
    "SAM_STATE",
    "Security module {serial} is {state} and cannot become {wanted}.",
    "安全模块 {serial} 当前为 {state}，不能变更为 {wanted}。",
)


def folder() -> Path:
    """Where the files of issued modules are put, to be carried to their terminals."""
    return Path(settings.CITYCARD_HOME) / FOLDER


def issue(
    vault: Vault,
    role: str,
    terminal: str,
    by: Actor,
    passphrase: str,
    *,
    issuers: Sequence[str] = (),
    cost: Cost = STRONG,
) -> tuple[Sam, Path]:
    """A new module with the keys of its role, and its file. `issuers` none: all that are active.

    SAM_ROLE, SAM_TERMINAL. Registered before the file is there: a module nobody knows of never exists.
    """
    if not by.roles & CUSTODY:
        raise SAM_ROLE(actor=by.name)
    _check_terminal(role, terminal)
    known = [one.id for one in Participant.objects.filter(active=True) if "issuer" in one.roles]
    served = sorted(issuers or known)
    unknown = set(served) - set(known)
    if unknown or not served:
        raise SAM_TERMINAL(
            role=role, terminal=terminal, why=f"no active issuers: {', '.join(sorted(unknown)) or '-'}"
        )
    lent = sam_file.branches(vault, role, bytes.fromhex(terminal), [bytes.fromhex(one) for one in served])
    sam = _register(role, terminal, [[*one[:3], one.factors[0].hex()] for one in lent], by, served)
    path = folder() / f"{sam.serial}{sam_file.SUFFIX}"
    head = sam_file.SamHead(role, bytes.fromhex(sam.serial), bytes.fromhex(terminal))
    sam_file.write(path, head, vault.lend(lent), passphrase, cost=cost)
    return sam, path


@transaction.atomic
def _register(role: str, terminal: str, keys: list[list[Any]], by: Actor, issuers: Sequence[str]) -> Sam:
    serial = f"{counters.take('sam', 1)[0]:08x}{terminal}"
    at = clock.now()
    sam = Sam.objects.create(
        serial=serial, role=role, terminal=terminal, keys=sorted(keys), issued_at=at, issued_by=by.name,
        state_at=at,
    )  # fmt: skip
    append(
        [Deed(by.name, "sam issue", serial, {"role": role, "terminal": terminal, "issuers": list(issuers)})]
    )
    return sam


@transaction.atomic
def move(serial: str, state: str, by: Actor, reason: str = "", since: datetime | None = None) -> Sam:
    """Hotlist, take back or destroy a module; `since` is when it went missing, now if not told.

    SAM_ROLE, SAM_UNKNOWN, SAM_STATE. Saying the same again changes nothing.
    """
    if not by.roles & CUSTODY:
        raise SAM_ROLE(actor=by.name)
    sam = Sam.objects.select_for_update().filter(serial=serial).first()
    if sam is None:
        raise SAM_UNKNOWN(serial=serial)
    if sam.state == state:
        return sam
    if sam.state not in MOVES.get(Sam.State(state), ()):
        raise SAM_STATE(serial=serial, state=sam.state, wanted=state)
    before, sam.state, sam.state_at, sam.reason = sam.state, state, clock.now(), reason
    if state == Sam.State.HOTLISTED:
        sam.distrusted_at = min(since or sam.state_at, sam.state_at)
    sam.save()
    detail = {"before": before, "after": state, "reason": reason, "since": sam.distrusted_at}
    append([Deed(by.name, "sam state", serial, detail)])
    return sam


def distrusted() -> dict[str, datetime]:
    """Terminal numbers of hotlisted modules, each with the moment from which it is not trusted."""
    rows = Sam.objects.filter(state=Sam.State.HOTLISTED).values_list("terminal", "distrusted_at")
    found: dict[str, datetime] = {}
    for terminal, at in rows:
        if at is not None:
            found[terminal] = min(at, found.get(terminal, at))
    return dict(sorted(found.items()))


def _check_terminal(role: str, terminal: str) -> None:
    lower_hex = len(terminal) == TERMINAL_DIGITS and set(terminal) <= set("0123456789abcdef")
    if role not in sam_file.ROLES or not lower_hex:
        raise SAM_TERMINAL(
            role=role, terminal=terminal, why="roles are psam and load, a terminal is 12 hex digits"
        )
    if Sam.objects.filter(terminal=terminal, state=Sam.State.HOTLISTED).exists():
        why = "a module of that number was stolen; give the terminal a new number"
        raise SAM_TERMINAL(role=role, terminal=terminal, why=why)
    if Sam.objects.filter(terminal=terminal, role=role, state=Sam.State.IN_USE).exists():
        why = "its module is in use; take it back or destroy it first"
        raise SAM_TERMINAL(role=role, terminal=terminal, why=why)
