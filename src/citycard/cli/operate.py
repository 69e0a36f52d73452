# SPDX-License-Identifier: Apache-2.0
"""What the operator's commands do: put the rooms together over one home folder."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from citycard.cli.options import Progress
from citycard.core.problem import Problem

if TYPE_CHECKING:
    from citycard.keys.place import Ask, Opened


def initialise(home: Path, scheme_name: str, administrator: str, ask: Ask, progress: Progress) -> list[str]:
    """Vault with ceremony, database, scheme, first console user; what exists is kept. Lines to tell."""
    from citycard.blueprints import load_scheme
    from citycard.keys import create_vault, open_vault, place_of, scheme_ceremony
    from citycard.office import setup

    scheme = load_scheme(scheme_name)
    place = place_of(home)
    told = [f"home            {home.absolute()}"]
    vault = open_vault(place, ask) if place.exists else create_vault(place, ask)
    infos = scheme_ceremony(vault)
    told.append(f"vault           {place.name}: {len(infos)} root keys of version 1")
    told += [f"  {notice.text()}" for notice in vault.notices()]
    told += [f"  {info.name:14}{info.suite_name:6}check value {info.check_value}" for info in infos]
    setup.setup(home)
    applied = setup.migrate(lambda done, total, step: progress("database", done, total))
    told.append(f"database        {applied} migrations applied" if applied else "database        up to date")

    from citycard.office.participants.scheme import install_scheme
    from citycard.office.staff import people
    from citycard.office.staff.models import User
    from citycard.office.staff.roles import Role

    counts = install_scheme(scheme)
    told.append(f"scheme          {scheme.name}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    if not User.objects.filter(is_active=True).exists():
        password = people.new_password()
        people.create(administrator, password, Role.ADMINISTRATOR)
        told.append(f"console user    {administrator}, password {password} (shown this once)")
    return told


def ready(home: Path) -> None:
    """The office of an existing home, its database checked."""
    from citycard.office import setup

    setup.setup(home)
    setup.check_database()


def collect(home: Path) -> dict[str, Any]:
    """What waits for clearing, and whether each batch is whole."""
    from citycard.clearing import waiting

    ready(home)
    return waiting(home)


def clear(
    home: Path,
    day: date,
    ask: Ask,
    progress: Progress,
    *,
    verdicts: str = "all",
    master: str | None = None,
    store: str | None = None,
) -> dict[str, Any]:
    """Export the reference tables, run clearing, post its answer."""
    from citycard.clearing import Rules, run
    from citycard.clearing.problems import TABLES_REFUSED

    ready(home)
    vault = _vault(home, ask)
    from citycard.office import settlement
    from citycard.office.intake.business import calendar

    settlement.export(day)
    try:
        report = run(
            home,
            day,
            vault.tac_checker(),
            calendar(),
            lambda step, part: progress("clearing", round(part * 100), 100),
            rules=Rules(verdicts_to_office=verdicts),
            master=master,
            store=store,
        )
    except Problem as problem:
        if problem.code in TABLES_REFUSED:
            settlement.withdraw(day)
        raise
    posting = settlement.post_run(day)
    return report.to_plain() | {"posted": not posting.repeated, "suspense_fen": posting.suspense_fen}


def settle(home: Path, day: date) -> dict[str, Any]:
    """Make and post the payments of a cleared date."""
    ready(home)
    from citycard.office import settlement

    done = settlement.settle(day)
    return {
        "settled_on": day.isoformat(),
        "paid_fen": done.paid_fen,
        "repeated": done.repeated,
        "payments": {f"{payer} -> {payee}": fen for payer, payee, fen in done.payments},
    }


def _vault(home: Path, ask: Ask) -> Opened:
    from citycard.keys import open_vault, place_of

    vault = open_vault(place_of(home), ask)
    for name in ("CITYCARD_PASSPHRASE", "CITYCARD_PIN"):
        os.environ.pop(name, None)  # not handed on to child processes
    return vault
