# SPDX-License-Identifier: Apache-2.0
"""Starting the office in this process: configure Django, create or check the database, make staff accounts.

`setup` must come before anything of the office that holds models is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import django
from django.conf import settings

from citycard.core.problem import declare
from citycard.office import home as homes

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.executor import MigrationExecutor

SETTINGS: Final = "citycard.office.settings"
Progress = Callable[[int, int, str], None]  # steps done, steps in all, name of the step

OFFICE_DB_MISSING = declare(
    "OFFICE_DB_MISSING",
    "There is no office in {home} yet. Run `citycard init`.",
    "{home} 中还没有后台数据。请运行 `citycard init`。",
)
OFFICE_DB_OLD = declare(
    "OFFICE_DB_OLD",
    "The office database is older than this program: {count} migrations are missing, the first is {first}. "
    "Back it up, then run `citycard init`.",
    "后台数据库版本旧于本程序：缺少 {count} 项迁移，首项为 {first}。请先备份，再运行 `citycard init`。",
)
OFFICE_DB_NEW = declare(
    "OFFICE_DB_NEW",
    "The office database was made by a newer version of citycard (it knows {first}). Install that version.",
    "后台数据库由更新版本的 citycard 创建（含 {first}）。请安装相应版本。",
)
OFFICE_DB_UNREACHABLE = declare(
    "OFFICE_DB_UNREACHABLE",
    "The office database {name} cannot be opened: {why}. Check that it runs and that its address is right.",
    "无法打开后台数据库 {name}：{why}。请检查其是否运行、地址是否正确。",
)
OFFICE_OTHER_HOME = declare(
    "OFFICE_OTHER_HOME",
    "This process already works in {home}; start another one for {wanted}.",
    "本进程已使用 {home}；请为 {wanted} 另起进程。",
)


def setup(home: Path | str | None = None, database_url: str | None = None) -> Path:
    """Configure Django for the office in a folder, and return it; again for the same folder is harmless."""
    if settings.configured:
        folder = Path(settings.CITYCARD_HOME)
        if home is not None and Path(home).absolute() != folder:
            raise OFFICE_OTHER_HOME(home=folder, wanted=home)
    else:
        if home is not None:
            os.environ["CITYCARD_HOME"] = str(Path(home).absolute())
        if database_url is not None:
            os.environ["CITYCARD_DATABASE_URL"] = database_url
        os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
        folder = homes.home()
    django.setup()
    return folder


def migrate(progress: Progress | None = None) -> int:
    """Create the database or bring it up to date; returns how many migrations were applied.

    Each step is told to `progress` with the number done and the number in all.
    """
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    Path(settings.CITYCARD_HOME).mkdir(parents=True, exist_ok=True)
    executor = MigrationExecutor(_connected())
    _refuse_newer(executor)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return 0
    done = 0

    def tell(action: str, migration: Any = None, fake: bool = False) -> None:
        nonlocal done
        if action == "apply_success":
            done += 1
        if progress and action in ("apply_start", "apply_success"):
            progress(done, len(plan), str(migration))

    executor.progress_callback = tell  # type: ignore[assignment]
    executor.migrate(executor.loader.graph.leaf_nodes(), plan)
    call_command("migrate", verbosity=0, interactive=False)  # permissions and groups, after the last one
    connection.close()
    return done


def check_database() -> None:
    """Raise OFFICE_DB_MISSING, _OLD or _NEW unless the database is exactly this program's."""
    from django.db.migrations.executor import MigrationExecutor

    name = Path(str(settings.DATABASES["default"]["NAME"]))
    if "sqlite" in settings.DATABASES["default"]["ENGINE"] and not name.exists():
        raise OFFICE_DB_MISSING(home=settings.CITYCARD_HOME)
    executor = MigrationExecutor(_connected())
    if not executor.loader.applied_migrations:
        raise OFFICE_DB_MISSING(home=settings.CITYCARD_HOME)
    _refuse_newer(executor)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        raise OFFICE_DB_OLD(count=len(plan), first=plan[0][0])


def create_staff(demo: bool = False) -> dict[str, str]:
    """The accounts to begin with, as name -> password to be shown once.

    For a demo one per role; else one administrator, and none when somebody can sign in already.
    """
    from citycard.office.staff import people
    from citycard.office.staff.models import User
    from citycard.office.staff.roles import Role

    if demo:
        return people.create_demo()
    if User.objects.filter(is_active=True).exists():
        return {}
    password = people.new_password()
    return {people.create("admin", password, Role.ADMINISTRATOR).username: password}


def _refuse_newer(executor: MigrationExecutor) -> None:
    loader = executor.loader
    apps = {app for app, _ in loader.disk_migrations}
    beyond = [
        key for key in loader.applied_migrations if key[0] in apps and key not in loader.disk_migrations
    ]
    replaced = {old for migration in loader.disk_migrations.values() for old in migration.replaces}
    unknown = sorted(set(beyond) - replaced)
    if unknown:
        raise OFFICE_DB_NEW(first=".".join(unknown[0]))


def _connected() -> BaseDatabaseWrapper:
    from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections

    try:
        connection.ensure_connection()
        return connections[DEFAULT_DB_ALIAS]
    except OperationalError as error:
        name = settings.DATABASES["default"]["NAME"]
        raise OFFICE_DB_UNREACHABLE(name=name, why=str(error).strip().splitlines()[0]) from None
