# SPDX-License-Identifier: Apache-2.0
"""A PKCS#11 token for the length of a benchmark: SoftHSM2 in a temporary folder, if it is there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from citycard.core.problem import Problem

VAULT_MODULE: Final = "citycard.keys.pkcs11_vault"
LIBRARIES: Final = tuple(
    Path(folder) / "softhsm" / "libsofthsm2.so"
    for folder in ("/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
)
LABEL: Final = "citycard-bench"


@contextmanager
def token_vault() -> Iterator[tuple[Any, str]]:
    """An empty vault in a new token, or None and why there is none."""
    library = next((path for path in LIBRARIES if path.is_file()), None)
    if importlib.util.find_spec(VAULT_MODULE) is None:
        yield None, "this citycard has no PKCS#11 vault"
    elif library is None or shutil.which("softhsm2-util") is None:
        yield None, "SoftHSM2 is not installed"
    elif importlib.util.find_spec("PyKCS11") is None:
        yield None, "PyKCS11 is not installed: it is the extra `hsm`"
    else:
        with tempfile.TemporaryDirectory(prefix="citycard-token-") as folder:
            try:
                vault = _made(Path(folder), library)
            except (Problem, OSError, subprocess.CalledProcessError) as fault:
                yield None, f"SoftHSM2 gives no token: {fault}"
                return
            try:
                yield vault, ""
            finally:
                vault.close()


def _made(folder: Path, library: Path) -> Any:
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    os.environ["SOFTHSM2_CONF"] = str(configuration)  # read when the library is first loaded
    pin = token_hex(4)
    command = ["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--so-pin", pin, "--pin", pin]
    subprocess.run(command, check=True, capture_output=True)
    return import_module(VAULT_MODULE).Pkcs11Vault.open(str(library), LABEL, pin)
