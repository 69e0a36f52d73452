# SPDX-License-Identifier: Apache-2.0
"""Clearing between cities (互联互通), its pure part: files, codes, states, money, and who checks what.

columns, formats, lists   what a record of each file looks like, to the byte
files, signing            a whole file in its two forms, and its detached signature
channel                   which files came, which came twice, which are missing
evidence                  what of a tap travels so that its issuer can verify it
states, money, disputes   how far an exchanged tap has come, who pays what, how a dispute goes
"""
