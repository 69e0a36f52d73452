# SPDX-License-Identifier: Apache-2.0
"""Tokens of SoftHSM2 in a temporary folder, as many as a run of tests wants; nothing outside it is touched."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from tests.support import parts

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)
REMEDY = "`scripts/system` installs softhsm2, and PyKCS11 is the extra `hsm`"
NUMBERS = itertools.count(1)  # of tokens of this process, whichever folder of tests made them
PIN, OFFICER_PIN = "1234", "12345678"  # of tokens that live as long as a test run


class SoftHsm:
    """The module with a configuration of its own. One per process: PKCS#11 reads it when first loaded."""

    def __init__(self, folder: Path) -> None:
        self.module = module()
        (folder / "tokens").mkdir()
        configuration = folder / "softhsm2.conf"
        configuration.write_text(
            f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        os.environ["SOFTHSM2_CONF"] = str(configuration)
        import PyKCS11

        self._p = PyKCS11
        self._lib = PyKCS11.PyKCS11Lib()  # held, so that the module stays loaded with this configuration
        self._lib.load(self.module)

    def new_token(self) -> str:
        """The label of a new, empty token with PIN `PIN`."""
        label = f"citycard-test-{next(NUMBERS)}"
        free = self._lib.getSlotList(tokenPresent=True)[-1]
        self._lib.initToken(free, OFFICER_PIN, label.ljust(32))
        slot = self.slot(label)
        session = self._lib.openSession(slot, self._p.CKF_SERIAL_SESSION | self._p.CKF_RW_SESSION)
        session.login(OFFICER_PIN, self._p.CKU_SO)
        session.initPin(PIN)
        session.logout()
        session.closeSession()
        return label

    def slot(self, label: str) -> int:
        """The slot of a token."""
        for slot in self._lib.getSlotList(tokenPresent=True):
            if self._lib.getTokenInfo(slot).label.rstrip(" \0") == label:
                return int(slot)
        raise AssertionError(label)

    def pull(self, label: str) -> None:
        """What a token pulled out of its reader does to everybody: all sessions end."""
        self._lib.closeAllSessions(self.slot(label))


def module() -> str:
    """Where the module is; skips, or fails in CI, when it or its binding is not installed."""
    try:
        import PyKCS11  # noqa: F401
    except ImportError:
        found = None
    else:
        found = next((path for path in MODULES if Path(path).is_file()), None)
    return parts.need(found, "SoftHSM2", REMEDY)
