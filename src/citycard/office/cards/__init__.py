# SPDX-License-Identifier: Apache-2.0
"""Cards over their whole life: stock, holders, losses, replacements, refunds and the hotlist."""
