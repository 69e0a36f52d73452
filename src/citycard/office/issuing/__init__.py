# SPDX-License-Identifier: Apache-2.0
"""Issuing: card orders, the personalisation line, and the register of security modules."""
