# SPDX-License-Identifier: Apache-2.0
"""Every text of the office's tables has its Chinese, and each Chinese text belongs to one in the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from babel.messages.pofile import read_po
from django.utils import translation

from citycard import office

OFFICE = Path(office.__file__).parent
CATALOGUE = OFFICE / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
ROOMS = (
    *("audit", "staff", "participants", "holders", "cards", "ledger", "intake", "issuing", "settlement"),
    *("bank", "taplab", "partners", "disputes"),
)
MARKS = {"_", "gettext", "gettext_lazy"}


def texts(source: str) -> Iterator[str]:
    """The literal arguments of gettext calls in a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS:
            argument = node.args[0]
            assert isinstance(argument, ast.Constant), ast.unparse(node)
            yield str(argument.value)


def test_every_text_of_the_tables_is_translated() -> None:
    with CATALOGUE.open("rb") as file:
        catalogue = read_po(file, locale="zh_Hans", abort_invalid=True)
    translated = {message.id for message in catalogue if message.id and message.string and not message.fuzzy}
    files = [
        path for room in ROOMS for path in (OFFICE / room).rglob("*.py") if "migrations" not in path.parts
    ]
    wanted = {text for path in files for text in texts(path.read_text(encoding="utf-8"))}
    assert len(wanted) > 200
    assert wanted - translated == set()


def test_a_text_is_found_in_the_code() -> None:
    assert list(texts("a = _('one')\nb = f(gettext_lazy('two' ' three'))\nc = len('no')")) == [
        "one",
        "two three",
    ]


def test_the_tables_speak_chinese() -> None:
    from citycard.office.cards.models import Card, Status

    with translation.override("zh-hans"):
        assert str(Card._meta.verbose_name) == "卡片"
        assert "挂失" in str(Status.LOST.label)
