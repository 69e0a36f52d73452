# SPDX-License-Identifier: Apache-2.0
"""GlobalPlatform: secure channels, the card's security domain, and the client that manages a card with it."""
