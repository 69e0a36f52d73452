# SPDX-License-Identifier: Apache-2.0
"""Command families of the card, each a table from CLA INS to its handlers."""
