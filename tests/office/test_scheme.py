# SPDX-License-Identifier: Apache-2.0
"""A blueprint becomes the office's own tables, as often as it is loaded."""

from __future__ import annotations

from datetime import date

import pytest

from citycard.blueprints import BUILT_IN, load_scheme
from citycard.core.problem import Problem
from citycard.core.tables import CONTRACTS
from citycard.office import ledger
from citycard.office.cards import personalise, verbs
from citycard.office.participants.models import Contract, Line, Participant, Station, Tariff, Terminal
from citycard.office.participants.scheme import install_scheme
from citycard.services import load_config
from tests.office.conftest import CLERK, CUSTODIAN, StillClock

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_scheme_is_in_the_tables_as_it_was_written(name: str, still: StillClock) -> None:
    scheme = load_scheme(name)
    counts = install_scheme(scheme)
    assert counts["participants"] == Participant.objects.count() == len(scheme.participants)
    assert Line.objects.count() == len(scheme.lines)
    assert Station.objects.count() == sum(len(line.stations) for line in scheme.lines)
    assert Terminal.objects.count() == len(scheme.terminal_plans)
    rows = sorted(Contract.objects.values(*CONTRACTS.names), key=lambda row: row["contract"])
    assert rows == sorted(scheme.contract_rows(), key=lambda row: row["contract"])
    for tariff in scheme.priced:
        row = Tariff.objects.get(service=tariff.service, version=tariff.version)
        assert load_config(row.service, row.config) == tariff.config
    for issuer in scheme.issuers:
        assert ledger.account(f"float:{issuer.id}") is not None
    for one in scheme.participants:
        assert ledger.account(f"position:{one.id}") is not None


def test_loading_again_keeps_what_is_not_the_schemes(still: StillClock) -> None:
    scheme = load_scheme("city")
    install_scheme(scheme)
    terminal = Terminal.objects.all()[0]
    Terminal.objects.filter(pk=terminal.pk).update(token_hash="ab", last_batch=7, name="painted over")
    again = install_scheme(scheme)
    renewed = Terminal.objects.get(pk=terminal.pk)
    assert (renewed.token_hash, renewed.last_batch, renewed.name) == ("ab", 7, terminal.name)
    assert again["terminals"] == Terminal.objects.count()
    assert Station.objects.count() == again["stations"]


def test_a_tariff_in_use_never_changes(still: StillClock) -> None:
    scheme = load_scheme("city")
    install_scheme(scheme)
    Tariff.objects.filter(service=1).update(valid_from=date(2001, 1, 1))
    Participant.objects.filter(id=scheme.issuers[0].id).update(name_en="Before")
    with pytest.raises(Problem) as changed:
        install_scheme(scheme)
    assert changed.value.code == "SCHEME_TARIFF_CHANGED"
    assert Participant.objects.get(id=scheme.issuers[0].id).name_en == "Before"


def test_products_set_deposit_validity_and_number(still: StillClock) -> None:
    scheme = load_scheme("city")
    install_scheme(scheme)
    issuer = scheme.issuers[0]
    (card,) = personalise.order(issuer.id, 1, CUSTODIAN)
    assert issuer.pan_prefix
    assert card.pan.startswith(issuer.pan_prefix)
    product = next(p for p in scheme.products if p.card_class == "ordinary")
    assert card.valid_until
    assert (card.valid_until - still.at.date()).days == product.valid_years * 365
    personalise.register([personalise.Personalised(card.pan)], CUSTODIAN)
    verbs.stock_in(card.pan, CLERK)
    answer = verbs.issue(card.pan, CLERK)
    assert isinstance(answer, verbs.Done)
    assert answer.paid_fen == product.deposit_fen
