# SPDX-License-Identifier: Apache-2.0
"""The office's API for terminals, version 1: batches, parameters, hotlist, loads, health."""
