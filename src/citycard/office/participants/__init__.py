# SPDX-License-Identifier: Apache-2.0
"""Who takes part in the scheme, and what they run, charge and share."""
