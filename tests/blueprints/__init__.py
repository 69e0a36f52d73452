# SPDX-License-Identifier: Apache-2.0
"""Tests of citycard.blueprints: schemes as files."""
