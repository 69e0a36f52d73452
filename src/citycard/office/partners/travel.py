# SPDX-License-Identifier: Apache-2.0
"""Sends and fetches with one member, by whichever carrier is set for it: its office's API, or a drop box."""

from __future__ import annotations

from pathlib import Path

from citycard.core.problem import declare
from citycard.office.partners import carriers, http
from citycard.office.partners.carriers import Visit
from citycard.office.partners.models import Member

NO_CARRIER = declare(
    "NO_CARRIER",
    "No way to reach {org} is set: give it a drop box or an address with `citycard partners member`.",
    "未设置到 {org} 的传输方式：请用 `citycard partners member` 设置交换目录或地址。",
)


def visit(member: Member) -> Visit:
    """Bring what waits for a member and fetch what it has for us. NO_CARRIER, BOX_*, PARTNER_*."""
    if member.url:
        with http.connect(member) as client:
            return http.visit(client, member)
    if not member.box:
        raise NO_CARRIER(org=member.org)
    sent = carriers.deliver(member)
    done = carriers.collect(Path(member.box))
    done.sent = sent
    return done
