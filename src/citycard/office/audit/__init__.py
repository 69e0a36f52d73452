# SPDX-License-Identifier: Apache-2.0
"""The office's audit log: a chain of entries in which a change shows.

Every verb appends here in its own transaction, so what was done and its entry stand or fall together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from citycard.office.audit.chain import Finding


def record(actor: str, verb: str, subject: str, **detail: Any) -> None:
    """Append one entry; call it inside the transaction it belongs to."""
    from citycard.office.audit import chain  # models can be imported only once Django is up

    chain.append([chain.Deed(actor, verb, subject, detail)])


def verify() -> Finding:
    """Check the whole chain; says how many entries stand and where the first fault is, if any."""
    from citycard.office.audit import chain

    return chain.verify()
