# SPDX-License-Identifier: Apache-2.0
"""Conformance: catalogues of test cases for cards and terminals, and the kit that runs them."""
