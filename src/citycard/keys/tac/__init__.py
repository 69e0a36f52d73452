# SPDX-License-Identifier: Apache-2.0
"""Verification of TACs in bulk: columns of records in, a verdict for each out.

`TacVerifier` is what clearing is given (`Vault.tac_checker`). It takes columns (`verify`, `verify_batch`)
or, where there are few records, rows (calling it). Few records are computed with `core.crypto`, many with
compiled kernels (`des`, `sm4`) that give the same results; nothing is compiled or imported before it is
needed. Keys: `custody`.
"""

from citycard.keys.tac.columns import TacBatch, TacColumns
from citycard.keys.tac.custody import CardBatch, CardKeys, KeyPath, diversify_each
from citycard.keys.tac.verifier import TacVerifier

__all__ = ["CardBatch", "CardKeys", "KeyPath", "TacBatch", "TacColumns", "TacVerifier", "diversify_each"]
