# SPDX-License-Identifier: Apache-2.0
"""Clearing between cities: this office as issuer, acquirer or hub, by what its settings say.

desk        who we are, who the others are
outbox      files made, signed, numbered and kept; inbox: files that came, judged and taken in order
acquirer    foreign taps taken by our own checks, forwarded, paid when cleared
hub         routes by issuer, gives serials, clears, nets; relays feedback
issuer      cleared taps put into our own clearing, verified there, answered
books       what all that posts; carriers, http: how files travel; reconcile: whether all agrees
"""
