# SPDX-License-Identifier: Apache-2.0
"""Compilation of the kernels: once on each machine, kept beside the code or in the user's cache folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

U32Array = NDArray[np.uint32]
U64Array = NDArray[np.uint64]
IndexArray = NDArray[np.int64]
F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function, compiled when it is first called, without the interpreter's lock.

    The compiled form is kept on disk: beside the module, else in the user's cache folder (numba's
    NUMBA_CACHE_DIR chooses another). Where neither can be written, each process compiles anew. It is used
    again as long as the module is the same file, whatever happened to functions that it calls from other
    modules: after changing `sboxes`, `words` or numba's flags, remove it.
    """
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba found no folder that it may write to
        return cast(F, numba.njit(nogil=True)(function))
