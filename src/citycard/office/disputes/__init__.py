# SPDX-License-Identifier: Apache-2.0
"""Disputes between members (差错处理): raised, answered, presented again, decided, adjusted, refunded.

The rules are `citycard.core.interop.disputes`; here they meet people (`verbs`), files (`exchange`) and the
evidence a person looks at (`evidence`).
"""
