# SPDX-License-Identifier: Apache-2.0
"""Values, codecs and rules of the card and of money: pure, with no clock, randomness, files or sockets."""
