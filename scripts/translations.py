# SPDX-License-Identifier: Apache-2.0
"""Compiles the office's translations (.po to .mo) with Babel, so that GNU gettext is not needed."""

from __future__ import annotations

import sys
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALE = Path(__file__).resolve().parent.parent / "src" / "citycard" / "office" / "locale"


def compile_catalogue(po: Path) -> int:
    """Writes the .mo beside a .po and returns how many messages are translated; a broken .po raises."""
    locale = po.parent.parent.name
    with po.open("rb") as source:
        catalogue = read_po(source, locale=locale, abort_invalid=True)
    mo = po.with_suffix(".mo")
    partial = mo.with_suffix(".mo.partial")
    with partial.open("wb") as target:
        write_mo(target, catalogue)
    partial.replace(mo)
    return sum(1 for message in catalogue if message.id and message.string)


def main() -> int:
    """Compiles each catalogue under the office's locale folder."""
    for po in sorted(LOCALE.glob("*/LC_MESSAGES/*.po")):
        print(f"translations: {po.parent.parent.name}/{po.stem}: {compile_catalogue(po)} messages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
