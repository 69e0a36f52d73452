# SPDX-License-Identifier: Apache-2.0
"""Tests of citycard.core: values, codecs and rules."""
