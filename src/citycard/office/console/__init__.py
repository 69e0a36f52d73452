# SPDX-License-Identifier: Apache-2.0
"""The console: what the people of the office see and do in a browser, each role only what is its own."""
