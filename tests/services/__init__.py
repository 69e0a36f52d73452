# SPDX-License-Identifier: Apache-2.0
"""Tests of citycard.services: tariffs, decisions and what the card remembers."""
