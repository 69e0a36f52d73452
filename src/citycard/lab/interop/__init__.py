# SPDX-License-Identifier: Apache-2.0
"""Two cities and a hub as three offices with three databases, exchanging files, with things going wrong."""
