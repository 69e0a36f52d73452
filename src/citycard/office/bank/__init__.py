# SPDX-License-Identifier: Apache-2.0
"""The settlement bank: payment files out, bank statements in, and what the bank has really moved.

orders       payments become orders and files (pain.001), and move along their states
statements   the bank's statements (camt.053) into the books, each once
matching     which movement was for which order; by hand where it cannot be told
standing     our position, theirs, and the bank's, side by side
"""
