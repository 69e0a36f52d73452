# SPDX-License-Identifier: Apache-2.0
"""Tests of cards without a processor."""
