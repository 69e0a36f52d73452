# SPDX-License-Identifier: Apache-2.0
"""Large C_Encrypt calls without a detour: PyKCS11 hands results over byte by byte, forty times slower.

The functions are taken from the module's own CK_FUNCTION_LIST (PKCS#11 2.40, 5.4), by their place in it;
the module is the one PyKCS11 has loaded, so sessions and keys are the same.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

from citycard.keys.secret import KeyBytes

ENCRYPT_INIT, ENCRYPT = 29, 30  # places in the function list, counted from C_Initialize
FUNCTIONS_MAX: Final = 68  # of version 2
OK: Final = 0


class _Mechanism(ctypes.Structure):
    _fields_ = (
        ("mechanism", ctypes.c_ulong),
        ("parameter", ctypes.c_void_p),
        ("parameter_length", ctypes.c_ulong),
    )


class _Functions(ctypes.Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * FUNCTIONS_MAX))


def encrypter(module: str) -> Callable[[int, int, int, bytes], KeyBytes | int]:
    """A function of session, key, mechanism (ECB) and data to the cipher, or to the error code."""
    listed = ctypes.POINTER(_Functions)()
    if ctypes.CDLL(module).C_GetFunctionList(ctypes.byref(listed)) != OK:
        raise OSError(f"{module} has no function list")
    functions = listed.contents.functions
    init = _function(functions[ENCRYPT_INIT], ctypes.POINTER(_Mechanism), ctypes.c_ulong)
    encrypt = _function(
        functions[ENCRYPT], ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p, ctypes.POINTER(ctypes.c_ulong)
    )

    def run(session: int, key: int, mechanism: int, data: bytes) -> KeyBytes | int:
        how = _Mechanism(mechanism, None, 0)
        code = init(session, ctypes.byref(how), key)
        if code != OK:
            return int(code)
        cipher = ctypes.create_string_buffer(len(data))
        size = ctypes.c_ulong(len(data))
        code = encrypt(session, data, len(data), cipher, ctypes.byref(size))
        found = KeyBytes(cipher.raw) if code == OK else int(code)
        ctypes.memset(cipher, 0, len(data))
        return found

    return run


def _function(address: Any, *arguments: Any) -> Callable[..., int]:
    return ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, *arguments)(address)
