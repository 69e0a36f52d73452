# SPDX-License-Identifier: Apache-2.0
"""All that the console reads: one module per page, each answer a value that the template only lays out."""
