# SPDX-License-Identifier: Apache-2.0
"""Custody of keys: the vault port and the soft vault, the key tree, PSAM and load SAM, the ceremony."""

from citycard.keys.batch import batch_mac, check_batch
from citycard.keys.ceremony import scheme_ceremony
from citycard.keys.counters import CounterStore, FileCounter, MemoryCounter
from citycard.keys.envelope import CHEAP, STRONG, Cost
from citycard.keys.hierarchy import card_factors, terminal_factor
from citycard.keys.load_sam import LoadAsked, LoadSam
from citycard.keys.memory_vault import MemoryVault
from citycard.keys.psam import Psam
from citycard.keys.soft_vault import FILE_NAME, SoftVault
from citycard.keys.vault import KeyInfo, KeyName, KeyRef, Session, TacChecker, TacRow, Vault, tac_checker

__all__ = [
    "CHEAP",
    "FILE_NAME",
    "STRONG",
    "Cost",
    "CounterStore",
    "FileCounter",
    "KeyInfo",
    "KeyName",
    "KeyRef",
    "LoadAsked",
    "LoadSam",
    "MemoryCounter",
    "MemoryVault",
    "Psam",
    "Session",
    "SoftVault",
    "TacChecker",
    "TacRow",
    "Vault",
    "batch_mac",
    "card_factors",
    "check_batch",
    "scheme_ceremony",
    "tac_checker",
    "terminal_factor",
]
