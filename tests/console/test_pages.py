# SPDX-License-Identifier: Apache-2.0
"""Every page stands with and without data, in both languages, and asks the database a bounded number of times."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.translation.template import templatize

import citycard.office
from citycard.office.staff.roles import Role
from tests.console import city as small
from tests.console.conftest import SignedIn
from tests.console.visits import BARE, addresses

OFFICE = Path(citycard.office.__file__).parent
READERS = (Role.ADMINISTRATOR, Role.CLERK, Role.KEY_CUSTODIAN)  # together they see every page
# Text without Chinese on a Chinese page: codes, numbers, file names, sign-in names, the language switch.
CODE = re.compile(r"[\w.:/-]*|\{.*|English|SM4, .*|.* KB|t-union.*")
FILES = ("statement", "report", "bank_file")  # no pages
WORDS = re.compile(r"[A-Za-z]{2}")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


class Texts(HTMLParser):
    """The texts a reader sees: no scripts, no styles, no names of icons."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [given[name] or "" for name in ("placeholder", "aria-label") if name in given]
        icon = "material-symbols" in (given.get("class") or "")
        if tag in ("script", "style") or icon:
            self.silent.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.silent and self.silent[-1] == tag:
            self.silent.pop()

    def handle_data(self, data: str) -> None:
        if not self.silent and data.strip():
            self.found.append(" ".join(data.split()))


def english(page: str) -> list[str]:
    """Texts of a Chinese page that are not Chinese and no code."""
    reader = Texts()
    reader.feed(page)
    texts = [text for text in reader.found if WORDS.search(text) and not CHINESE.search(text)]
    return [text for text in texts if not CODE.fullmatch(text)]


def msgids() -> Iterator[str]:
    """Every text of the office that is marked for translation, in code and templates."""
    for path in OFFICE.rglob("*.py"):
        with path.open("rb") as file:
            for _, message, _, _ in extract("python", file, keywords={"_": None, "gettext_lazy": None}):
                yield message[0] if isinstance(message, tuple) else message
    call = re.compile(r"gettext\((?:u)?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")
    for path in OFFICE.rglob("*.html"):
        for found in call.finditer(templatize(path.read_text(encoding="utf-8"))):
            yield ast.literal_eval(found.group(1))


def test_everything_marked_for_translation_is_translated() -> None:
    with (OFFICE / "locale/zh_Hans/LC_MESSAGES/django.po").open("rb") as file:
        known = {
            (m.id[0] if isinstance(m.id, tuple) else m.id): m.string for m in read_po(file, locale="zh_Hans")
        }
    wanted = set(msgids())
    assert len(wanted) > 500
    assert {text for text in wanted if not known.get(text)} == set()


def test_the_check_sees_english() -> None:
    page = "<p>卡片</p><p>Report a loss</p><p>position:1200990000000001</p><script>let loss = 1</script>"
    assert english(page) == ["Report a loss"]


@pytest.mark.parametrize("role", READERS, ids=lambda role: role.value)
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_stands(city: small.Small, signed_in: SignedIn, role: Role, language: str) -> None:
    browser = signed_in(role, language)
    for page, address in addresses(city).items():
        answer = browser.get(address)
        if answer.status_code == 403 or page in FILES:
            continue
        text = answer.content.decode()
        assert answer.status_code == 200, page
        assert f'<html lang="{language}"' in text
        assert "https://" not in text
        if language == "zh-hans":
            assert english(text) == [], page


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_stands_without_data(signed_in: SignedIn, language: str) -> None:
    from citycard.office import custody

    custody.use(None)
    for role in READERS:
        browser = signed_in(role, language)
        for page in BARE:
            answer = browser.get(reverse(f"console:{page}"))
            assert answer.status_code in (200, 403), page
            if language == "zh-hans" and page != "keys":
                assert english(answer.content.decode()) == [], page


NOWHERE = (
    "cards/00000000000000000000/", "cards/x/block/", "runs/2031-01-01/", "runs/yesterday/", "ledger/card:0/",
    "terminals/ffffffffffff/", "exchange/taps/x/", "disputes/99999/", "holders/00000000-0000-0000-0000-000000000000/",
    "runs/2026-03-02/participants/0/", "runs/2026-03-02/statements/secret.csv",
    "runs/2026-03-02/statements/..%2Fsecret.csv", "runs/2026-03-02/statements/%2e%2e",
)  # fmt: skip
STRANGE = (
    "taps/?run=never&service=x&page=-3", "cards/?status=nonsense&page=1000", "audit/?actor=%00&q='--",
    "ledger/?kind=no&q=%25", "terminals/?acquirer=&service=99", "search/?q=%E9%99%88", "hotlist/?former=on",
    "exchange/?status=x&file=%00", "exchange/taps/?state=x&side=&pan=%27", "disputes/?every=on&page=9",
)  # fmt: skip


def test_what_is_not_there_is_told_in_the_frame(city: small.Small, signed_in: SignedIn) -> None:
    browser = signed_in(Role.ADMINISTRATOR)
    for address in NOWHERE:
        answer = browser.get(f"/console/{address}")
        assert answer.status_code == 404, address
        assert b"not for anyone" not in answer.getvalue()
        assert b"nav-sidebar" in answer.getvalue() or "%2F" in address


def test_strange_questions_get_an_answer(city: small.Small, signed_in: SignedIn) -> None:
    browser = signed_in(Role.ADMINISTRATOR)
    for address in STRANGE:
        assert browser.get(f"/console/{address}").status_code == 200, address


def test_more_rows_do_not_mean_more_queries(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office.cards import personalise, verbs
    from citycard.office.holders import register

    browser = signed_in(Role.ADMINISTRATOR)

    def asked(address: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert browser.get(address).status_code == 200
        return len(seen)

    pages = {name: address for name, address in addresses(city).items() if name not in (*FILES, "verb")}
    pages = {name: address for name, address in pages.items() if name not in ("register", "keys")}
    before = {name: asked(address) for name, address in pages.items()}
    made = [card.pan for card in personalise.order(small.ISSUER, 20, small.CUSTODIAN)]
    personalise.register([personalise.Personalised(pan) for pan in made], small.CUSTODIAN)
    verbs.stock_in_many(made, small.CLERK)
    verbs.issue_many([(pan, None) for pan in made], small.CLERK)
    for pan in made:
        verbs.block(pan, small.CLERK)
        register.register(f"陈{pan[-2:]}", date(2015, 1, 1), by=small.CLERK, guardian=city.adult)
    after = {name: asked(address) for name, address in pages.items()}
    assert after == before
    assert max(after.values()) <= 40, after


def test_positions_of_a_run_add_up_to_zero_on_the_page(city: small.Small, signed_in: SignedIn) -> None:
    page = signed_in(Role.CLEARING_OFFICER).get(reverse("console:run", args=["2026-03-02"]))
    assert page.context["totals"] == {"receivable_fen": 1440, "payable_fen": 1440, "net_fen": 0}
    text = page.content.decode()
    assert "All positions add up to zero." in text
    assert "TAC does not verify" in text
    assert "+14.08" in text  # eight rides of 1.80, less the fee of 0.04


def test_the_statement_comes_down_and_leaves_a_trace(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office.audit.models import AuditEntry

    address = reverse("console:statement", args=["2026-03-02", f"{small.BUS}.csv"])
    answer: Any = signed_in(Role.CLEARING_OFFICER).get(address)
    assert b"".join(answer.streaming_content) == b"a,b\n1,2\n"
    assert answer["content-disposition"].startswith("attachment")
    assert AuditEntry.objects.filter(verb="download_statement", actor="clearing-officer").count() == 1


def test_a_terminal_tells_its_gap_and_its_clock(city: small.Small, signed_in: SignedIn) -> None:
    page = signed_in(Role.AUDITOR).get(reverse("console:terminal", args=[city.bus_terminal]))
    assert page.context["gaps"] == [2]
    assert [str(fault) for fault in page.context["health"].faults] == [
        "old parameters" if page.context["health"].parameters_behind else "clock is wrong",
        *(["clock is wrong"] if page.context["health"].parameters_behind else []),
        "batches missing",
    ]


def test_keys_are_shown_by_check_value_only(city: small.Small, vault: Any, signed_in: SignedIn) -> None:
    text = signed_in(Role.KEY_CUSTODIAN).get(reverse("console:keys")).content.decode()
    for key in vault.keys():  # noqa: SIM118
        assert key.check_value.upper() in text
    assert len(re.findall(r"\b[0-9A-Fa-f]{32}\b", text)) == 0


def test_the_audit_page_verifies_the_chain_and_sees_a_change(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office.audit.models import AuditEntry

    browser, address = signed_in(Role.AUDITOR), reverse("console:audit")
    assert "The chain holds." in browser.post(address).content.decode()
    AuditEntry.objects.filter(number=3).update(actor="nobody")
    assert "Entry 3: the chain does not hold here." in browser.post(address).content.decode()


def test_the_books_are_checked_when_asked(city: small.Small, signed_in: SignedIn) -> None:
    text = signed_in(Role.AUDITOR).post(reverse("console:ledger")).content.decode()
    assert "Debits equal credits." in text
    assert "The accounts of all" in text
