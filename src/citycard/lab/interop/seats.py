# SPDX-License-Identifier: Apache-2.0
"""The three offices side by side in this process: one takes the office's chair at a time.

Django knows one office per process: one home folder, one database, one vault, one clock. A seat puts its own
in their place for as long as it works, and can go back to what it kept before, which costs a few copied files
where a process would have to be started and an office founded.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar

from citycard.lab import desk, memory
from citycard.lab.interop.acts import LivingCity, LivingHub
from citycard.lab.interop.towns import CITIES, HUB, Town

T = TypeVar("T")
FOUNDING: Final = 1  # keys and cards are the same for all seeds; what people do and suffer is not
BOX: Final = "box"


@dataclass(frozen=True, slots=True)
class Kept:
    """An office as it was."""

    home: Path
    memory: Any


class Seat:
    """One office of the lab: call it with a command, as an `OfficeProcess`."""

    def __init__(self, town: Town, folder: Path) -> None:
        from django.db import connections

        self.town = town
        self.home = folder / town.key
        kind = LivingHub if town is HUB else LivingCity
        self.office: LivingHub | LivingCity = kind(town, self.home, folder / BOX)
        self._connection: Any = connections.create_connection("default")
        self._connection.settings_dict = copy.deepcopy(self._connection.settings_dict)

    def __call__(self, command: str, **arguments: Any) -> Any:
        plain = {name: str(one) if isinstance(one, date) else one for name, one in arguments.items()}
        with self.seated():
            return getattr(self.office, command)(**plain)

    def see(self, look: Callable[[], T]) -> T:
        """What somebody sees who looks into this office's books."""
        with self.seated():
            return look()

    @contextmanager
    def seated(self) -> Iterator[None]:
        """Within, the office of this process is this one."""
        from django.conf import settings
        from django.db import connections

        from citycard.office import clock, custody

        connections["default"] = self._connection
        settings.CITYCARD_HOME = self.home
        os.environ["CITYCARD_HOME"] = str(self.home)
        clock.use(self.office.clock)
        custody.use(self.office.vault)
        yield

    def keep(self, folder: Path) -> Kept:
        """Keep this office as it is now, its files in a folder."""
        self._connection.close()
        kept = folder / self.town.key
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.home, kept)
        if isinstance(self.office, LivingCity):
            return Kept(kept, memory.keep(self.office.city))
        return Kept(kept, self.office.clock())

    def recall(self, kept: Kept) -> None:
        """Be again as was kept."""
        self._connection.close()
        shutil.rmtree(self.home)
        shutil.copytree(kept.home, self.home)
        if isinstance(self.office, LivingCity):
            memory.recall(self.office.city, kept.memory)
        else:
            self.office.clock.back_to(kept.memory)

    def close(self) -> None:
        """Let go of the database and what the office holds."""
        with self.seated():
            if isinstance(self.office, LivingCity):
                self.office.city.close()
            self._connection.close()


class Seats(dict[Town, Seat]):
    """The three offices and the box between them."""

    def __init__(self, folder: Path) -> None:
        desk.configure(folder)
        super().__init__({town: Seat(town, folder) for town in (HUB, *CITIES)})
        self.folder = folder
        self.box = folder / BOX

    @property
    def cities(self) -> list[Seat]:
        """Those with cards and terminals."""
        return [self[town] for town in CITIES]

    def keep(self, name: str) -> dict[Town, Kept]:
        """Keep all as it is now; what lies in the box is kept as well."""
        folder = self.folder / "kept" / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.box, folder / BOX)
        return {town: seat.keep(folder) for town, seat in self.items()}

    def recall(self, kept: dict[Town, Kept]) -> None:
        """Be again as was kept."""
        for town, seat in self.items():
            seat.recall(kept[town])
        shutil.rmtree(self.box)
        shutil.copytree(kept[HUB].home.parent / BOX, self.box)

    def close(self) -> None:
        """Let go of everything."""
        for seat in self.values():
            seat.close()
