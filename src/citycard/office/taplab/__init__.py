# SPDX-License-Identifier: Apache-2.0
"""The tap lab: an emulated card, a terminal beside it, and every byte between them, for people to look at."""
