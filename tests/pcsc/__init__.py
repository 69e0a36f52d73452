# SPDX-License-Identifier: Apache-2.0
"""The real PC/SC stack with an emulated card in it."""
