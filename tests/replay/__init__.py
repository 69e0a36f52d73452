# SPDX-License-Identifier: Apache-2.0
"""Tests of citycard.clearing.replay: published card records."""
