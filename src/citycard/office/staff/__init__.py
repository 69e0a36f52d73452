# SPDX-License-Identifier: Apache-2.0
"""Who works in the office, in which role, and what needs a second person."""
