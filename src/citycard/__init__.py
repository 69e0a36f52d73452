# SPDX-License-Identifier: Apache-2.0
"""An open city smart card platform: card, terminals, services, office, clearing and insight."""

__version__ = "0.1.0"
