# SPDX-License-Identifier: Apache-2.0
"""Intake: what terminals bring (batches, loads) and fetch (parameters, hotlist)."""
