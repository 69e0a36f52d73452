# SPDX-License-Identifier: Apache-2.0
"""The office starts on a database of its own version, and says what to do about any other."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.db.migrations.recorder import MigrationRecorder

from citycard.core.problem import Problem
from citycard.office import home, setup

SCRIPT = """
import sys
from citycard.core.problem import Problem
from citycard.office.setup import check_database, migrate, setup
setup(sys.argv[1]); setup(sys.argv[1])
try: check_database()
except Problem as problem: print(problem.code)
steps = []
print(migrate(lambda done, total, name: steps.append((done, total))) > 10, steps[-1][0] == steps[-1][1])
print(migrate())
check_database()
from django.db import connection
with connection.cursor() as cursor:
    names = ("journal_mode", "foreign_keys", "synchronous")
    print([cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in names])
try: setup(sys.argv[1] + "/other")
except Problem as problem: print(problem.code)
"""


def test_a_new_office_from_nothing(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CITYCARD_", "DJANGO_"))}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "new")],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert result.stdout.splitlines() == [
        "OFFICE_DB_MISSING", "True True", "0", "['wal', 1, 2]", "OFFICE_OTHER_HOME",
    ]  # fmt: skip


@pytest.mark.django_db
def test_an_older_and_a_newer_database_are_told_apart() -> None:
    from django.db import connection

    setup.check_database()
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("cards", "0001_initial")
    with pytest.raises(Problem, match="citycard init") as old:
        setup.check_database()
    assert old.value.code == "OFFICE_DB_OLD"
    recorder.record_applied("cards", "0001_initial")
    recorder.record_applied("cards", "0999_from_the_future")
    for act in (setup.check_database, setup.migrate):
        with pytest.raises(Problem, match="0999_from_the_future") as new:
            act()
        assert new.value.code == "OFFICE_DB_NEW"


def test_the_secret_key_is_made_once_for_its_owner(tmp_path: Path) -> None:
    key = home.secret_key(tmp_path / "home")
    assert len(key) >= 60
    assert home.secret_key(tmp_path / "home") == key
    (file,) = (tmp_path / "home").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_where_the_database_is(tmp_path: Path) -> None:
    assert home.database(tmp_path, None)["NAME"] == str(tmp_path / "office.sqlite3")
    url = "postgresql://lin:p%40ss@db.example.org:5433/city?sslmode=require"
    made = home.database(tmp_path, url)
    assert (made["USER"], made["PASSWORD"], made["HOST"], made["PORT"], made["NAME"]) == (
        "lin", "p@ss", "db.example.org", "5433", "city",
    )  # fmt: skip
    assert made["OPTIONS"] == {"sslmode": "require"}
    with pytest.raises(Problem) as wrong:
        home.database(tmp_path, "mysql://lin:secret@db/city")
    assert wrong.value.code == "OFFICE_DB_URL"
    assert "secret" not in wrong.value.text()
