# SPDX-License-Identifier: Apache-2.0
"""The people cards belong to: residents and non-residents, minors with a guardian."""
