# SPDX-License-Identifier: Apache-2.0
"""The office: the scheme's records of participants, holders, cards and money, and the only Django."""
