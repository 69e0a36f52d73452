# SPDX-License-Identifier: Apache-2.0
"""The settlement bank: payment files out, bank statements in, and what the bank has really moved.

orders       payments become orders and files (pain.001), and move along their states
checking     whether a file on its way to the bank is still what was ordered
messages     whatever the bank sends, by its namespace:
statements   its statements (camt.053), whose balances the books follow
reports      its word on a payment file (pain.002): accepted, rejected, to be ordered anew
entries      its movements, from statements and notifications (camt.054), into the books, each once
matching     which movement was for which order; by hand where it cannot be told
standing     our position, theirs, and the bank's, side by side
"""
