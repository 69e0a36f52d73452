# SPDX-License-Identifier: Apache-2.0
"""Addresses of the console; the admin site underneath keeps sign-in, sign-out and passwords."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from citycard.office.console.views import (
    bank,
    cards,
    desk,
    exchange,
    exchange_hold,
    figures,
    guard,
    money,
    overview,
    scheme,
    taplab,
)

pages = [
    path("", overview.dashboard, name="dashboard"),
    path("search/", overview.search, name="search"),
    path("cards/", cards.cards, name="cards"),
    path("cards/<str:pan>/", cards.card, name="card"),
    path("cards/<str:pan>/<slug:name>/", cards.verb, name="verb"),
    path("holders/", desk.holders, name="holders"),
    path("holders/new/", desk.register, name="register"),
    path("holders/<uuid:id>/", desk.holder, name="holder"),
    path("hotlist/", desk.hotlist, name="hotlist"),
    path("approvals/", desk.approvals, name="approvals"),
    path("runs/", money.runs, name="runs"),
    path("runs/<str:on>/", money.run, name="run"),
    path("runs/<str:on>/statements/<str:name>", money.statement, name="statement"),
    path("runs/<str:on>/participants/<str:id>/", money.participant, name="participant"),
    path("runs/<str:on>/behind/", figures.taps, name="behind"),
    path("months/<str:value>/", figures.month, name="month"),
    path("months/<str:value>/behind/", figures.dates, name="month_figure"),
    path("months/<str:value>/participants/<str:id>/", figures.month_participant, name="month_participant"),
    path("adjustments/<int:id>/", figures.adjustment, name="adjustment"),
    path("payments/<int:id>/", figures.payment, name="payment"),
    path("bank/", bank.bank, name="bank"),
    path("bank/entries/<int:id>/", bank.entry, name="bank_entry"),
    path("bank/files/<str:id>/", bank.file, name="bank_file"),
    path("bank/orders/<str:id>/", bank.order, name="bank_order"),
    path("reconciliation/", bank.side_by_side, name="standing"),
    path("terms/", bank.terms, name="terms"),
    path("reports/", bank.reports, name="reports"),
    path("reports/<str:month>/<str:name>", bank.report, name="report"),
    path("taps/", money.taps, name="taps"),
    path("taps/<str:tap>/", money.tap, name="tap"),
    path("ledger/", money.ledger, name="ledger"),
    path("ledger/<str:id>/", money.account, name="account"),
    path("exchange/", exchange.exchange, name="exchange"),
    path("exchange/held/<str:on>/", exchange_hold.exchange_hold, name="exchange_hold"),
    path("exchange/taps/", exchange.exchanged, name="exchanged"),
    path("exchange/taps/<str:ref>/", exchange.exchanged_tap, name="exchanged_tap"),
    path("disputes/", exchange.disputes, name="disputes"),
    path("disputes/<int:id>/", exchange.dispute, name="dispute"),
    path("terminals/", scheme.terminals, name="terminals"),
    path("terminals/<str:id>/", scheme.terminal, name="terminal"),
    path("alarms/", scheme.alarms, name="alarms"),
    path("participants/", scheme.participants, name="participants"),
    path("tariffs/", scheme.tariffs, name="tariffs"),
    path("contracts/", scheme.contracts, name="contracts"),
    path("keys/", guard.keys, name="keys"),
    path("audit/", guard.audit, name="audit"),
    path("staff/", guard.staff, name="staff"),
    path("taplab/", taplab.lab, name="taplab"),
    path("taplab/dialogue.txt", taplab.dialogue, name="taplab_dialogue"),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="console:dashboard"), name="home"),
    path("console/", include((pages, "console"))),
    path("manage/", RedirectView.as_view(pattern_name="console:dashboard")),
    path("manage/", admin.site.urls),
]
