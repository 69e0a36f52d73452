# SPDX-License-Identifier: Apache-2.0
"""The tests of citycard, in folders named as the packages they hold to their word."""
