# SPDX-License-Identifier: Apache-2.0
"""Conformance of terminals: scripted cards are played to a terminal, and its records are judged.

The kit plays every card itself, so it knows what each card truly did. The terminal is right when its records
say the same: each debit once, with its amount, counter, balance and TAC, and nothing that did not happen.
"""
