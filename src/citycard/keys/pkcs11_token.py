# SPDX-License-Identifier: Apache-2.0
"""A PKCS#11 token as the vault needs it: one session, secret keys that stay inside, data objects.

Everything of PyKCS11 is here, imported when a token is opened. Keys are made sensitive and not extractable;
those that were derived or brought in for one use are session objects, destroyed when nobody holds them any
more. Calls are serialised: a session runs one operation at a time. Errors of the token become problems.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any, Final, NoReturn, SupportsIndex

from citycard.core.problem import declare
from citycard.keys.pkcs11_bulk import encrypter
from citycard.keys.secret import KeyBytes, refuse_pickle

TOKEN_LIBRARY = declare(
    "TOKEN_LIBRARY",
    "A hardware security module is reached through PyKCS11, which is not installed. "
    "Install it with `pip install citycard[hsm]`.",
    "访问硬件加密机需要 PyKCS11，尚未安装；请运行 `pip install citycard[hsm]`。",
)
TOKEN_MODULE = declare(
    "TOKEN_MODULE",
    "The PKCS#11 module {module} cannot be loaded: {why}. Correct its path, or install the token's driver.",
    "无法加载 PKCS#11 模块 {module}：{why}；请更正路径或安装加密机驱动。",
)
TOKEN_MISSING = declare(
    "TOKEN_MISSING",
    "The module {module} has no token labelled {token}; it has {there}. Insert it, or correct the label.",
    "模块 {module} 中没有标签为 {token} 的令牌，现有 {there}；请插入令牌或更正标签。",
)
TOKEN_PIN = declare(
    "TOKEN_PIN",
    "The token {token} does not accept the PIN. Check CITYCARD_PIN or type it again; too many wrong ones "
    "lock it.",
    "令牌 {token} 不接受该 PIN。请检查 CITYCARD_PIN 或重新输入；多次错误将锁定。",
)
TOKEN_PIN_LOCKED = declare(
    "TOKEN_PIN_LOCKED",
    "The PIN of token {token} is locked. Its security officer must set a new one.",
    "令牌 {token} 的 PIN 已锁定，须由安全管理员重置。",
)
TOKEN_REMOVED = declare(
    "TOKEN_REMOVED",
    "The token {token} is gone or its session has ended ({why}). Insert it and start again.",
    "令牌 {token} 已移除或会话已结束（{why}）；请插入后重新启动。",
)
TOKEN_MECHANISM = declare(
    "TOKEN_MECHANISM",
    "The token {token} cannot do {missing}, which the vault needs. Allow it in the token's policy or use "
    "another token.",
    "令牌 {token} 不支持密钥库所需的 {missing}；请在令牌策略中开启或更换令牌。",
)
TOKEN_FAULT = declare(
    "TOKEN_FAULT",
    "The token {token} refused an operation: {why}. See its log; nothing was changed by this step.",
    "令牌 {token} 拒绝了操作：{why}；请查看其日志，本步骤未作更改。",
)
TOKEN_ALTERED = declare(
    "TOKEN_ALTERED",
    "The object {label} on token {token} is not as citycard left it: {what}. Restore the token from its "
    "backup.",
    "令牌 {token} 上的对象 {label} 已被改动（{what}）；请从备份恢复令牌。",
)

PREFIX: Final = "citycard:"  # of the label of every object that is ours
NEEDED: Final = (
    "CKM_DES2_KEY_GEN", "CKM_DES3_ECB", "CKM_DES3_CBC", "CKM_DES3_ECB_ENCRYPT_DATA",
    "CKM_AES_KEY_GEN", "CKM_AES_GCM",
)  # fmt: skip
GONE: Final = (
    "CKR_DEVICE_REMOVED", "CKR_TOKEN_NOT_PRESENT", "CKR_TOKEN_NOT_RECOGNIZED", "CKR_SESSION_CLOSED",
    "CKR_SESSION_HANDLE_INVALID", "CKR_DEVICE_ERROR", "CKR_CRYPTOKI_NOT_INITIALIZED",
    "CKR_USER_NOT_LOGGED_IN",
)  # fmt: skip
BULK_MIN: Final = 512  # bytes; below it a call costs more than its bytes
AES_SIZE: Final = 32
NONCE_SIZE: Final = 12
TAG_BITS: Final = 128
ZERO8: Final = bytes(8)


@dataclass(frozen=True, slots=True)
class Found:
    """An object of ours on the token: its handle, whether it is a key, its label and its metadata."""

    handle: Any
    is_key: bool
    label: str
    meta: bytes


class TokenKey:
    """A key inside the token. A session key is destroyed with this object; a lasting one stays."""

    __slots__ = ("__weakref__", "handle")

    def __init__(self, token: Token, handle: Any, *, lasting: bool) -> None:
        self.handle = handle
        if not lasting:
            weakref.finalize(self, token.forget, handle).atexit = False

    def __repr__(self) -> str:
        return "<key in the token>"

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        refuse_pickle(self)


class Token:
    """An open, logged-in token; made by `open_token`."""

    def __init__(self, lib: Any, session: Any, label: str, module: str) -> None:
        self._lib = lib  # unloaded when dropped
        self._bulk = encrypter(module)
        self._session = session
        self._lock = RLock()
        self.label = label

    def __repr__(self) -> str:
        return f"<token {self.label}>"

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        refuse_pickle(self)

    def close(self) -> None:
        """End the session; all session keys go with it."""
        with self._lock, suppress(_pykcs11().PyKCS11Error):  # a token that is gone took its session along
            self._session.closeSession()

    def random(self, size: int) -> bytes:
        """Bytes of the token's own generator."""
        with self._calling():
            return KeyBytes(self._session.generateRandom(size))

    def generate_des2(self, label: str, meta: bytes) -> TokenKey:
        """A new two-key triple DES key that never leaves."""
        return self._generated("CKK_DES2", "CKM_DES2_KEY_GEN", label, meta)

    def generate_aes(self, label: str, meta: bytes) -> TokenKey:
        """A new AES-256 key that never leaves."""
        return self._generated("CKK_AES", "CKM_AES_KEY_GEN", label, meta)

    def import_des(self, key: bytes, label: str = "", meta: bytes = b"") -> TokenKey:
        """A DES key of 16 or 24 bytes brought in; lasting when it has a label, else for this session."""
        p = _pykcs11()
        secret = KeyBytes(key)
        kind = "CKK_DES2" if len(secret) == 16 else "CKK_DES3"
        template = self._template(kind, label, meta)
        with self._calling():
            handle = self._session.createObject([*template, (p.CKA_VALUE, tuple(secret))])
        return TokenKey(self, handle, lasting=bool(label))

    def derive(self, key: TokenKey, data: bytes) -> TokenKey:
        """A session key whose value is `data` (16 or 24 bytes) enciphered by the key, ECB, in the token.

        The token sets odd parity, which no DES operation can tell.
        """
        p = _pykcs11()
        how = p.KEY_DERIVATION_STRING_DATA_MechanismBase(data, p.CKM_DES3_ECB_ENCRYPT_DATA)
        template = self._template("CKK_DES2" if len(data) == 16 else "CKK_DES3")
        with self._calling():
            handle = self._session.deriveKey(key.handle, template, how)
        return TokenKey(self, handle, lasting=False)

    def ecb(self, key: TokenKey, data: bytes) -> KeyBytes:
        """Triple DES over whole blocks."""
        p = _pykcs11()
        if len(data) >= BULK_MIN:
            with self._lock:
                cipher = self._bulk(self._session.session.value(), key.handle.value(), p.CKM_DES3_ECB, data)
            if isinstance(cipher, int):
                raise _problem(cipher, self.label)
            return cipher
        with self._calling():
            return KeyBytes(self._session.encrypt(key.handle, data, p.Mechanism(p.CKM_DES3_ECB)))

    def cbc(self, key: TokenKey, data: bytes, iv: bytes = ZERO8) -> bytes:
        """The last block of triple DES in CBC mode: a MAC, for there is no DES3 MAC mechanism."""
        p = _pykcs11()
        with self._calling():
            return bytes(self._session.encrypt(key.handle, data, p.Mechanism(p.CKM_DES3_CBC, iv)))[-8:]

    def seal(self, key: TokenKey, data: bytes, context: bytes) -> bytes:
        """Nonce, AES-GCM cipher and tag."""
        nonce = bytes(self.random(NONCE_SIZE))
        p = _pykcs11()
        with self._calling():
            how = p.AES_GCM_Mechanism(nonce, context, TAG_BITS)
            return nonce + bytes(self._session.encrypt(key.handle, data, how))

    def unseal(self, key: TokenKey, blob: bytes, context: bytes) -> KeyBytes | None:
        """What was sealed; None when it is not this key's, this context's, or was altered."""
        p = _pykcs11()
        if len(blob) < NONCE_SIZE + TAG_BITS // 8:
            return None
        how = p.AES_GCM_Mechanism(blob[:NONCE_SIZE], context, TAG_BITS)
        with self._lock:
            try:
                return KeyBytes(self._session.decrypt(key.handle, blob[NONCE_SIZE:], how))
            except p.PyKCS11Error as error:
                fault = error.value
        if _name(fault) in GONE:
            raise TOKEN_REMOVED(token=self.label, why=_name(fault))
        return None  # tokens differ in the code they give for a tag that does not fit

    def store(self, label: str, meta: bytes, data: bytes) -> None:
        """Keep a private data object."""
        p = _pykcs11()
        template = [
            (p.CKA_CLASS, p.CKO_DATA), (p.CKA_TOKEN, True), (p.CKA_PRIVATE, True),
            (p.CKA_LABEL, label), (p.CKA_APPLICATION, "citycard"),
            (p.CKA_OBJECT_ID, meta), (p.CKA_VALUE, data),
        ]  # fmt: skip
        with self._calling():
            self._session.createObject(template)

    def read(self, found: Found) -> bytes:
        """The content of a data object."""
        p = _pykcs11()
        with self._calling():
            return bytes(self._session.getAttributeValue(found.handle, [p.CKA_VALUE])[0])

    def objects(self) -> list[Found]:
        """All lasting objects of ours."""
        p = _pykcs11()
        found = []
        with self._calling():
            for kind, id_ in ((p.CKO_SECRET_KEY, p.CKA_ID), (p.CKO_DATA, p.CKA_OBJECT_ID)):
                for handle in self._session.findObjects([(p.CKA_CLASS, kind), (p.CKA_TOKEN, True)]):
                    label, meta = self._session.getAttributeValue(handle, [p.CKA_LABEL, id_])
                    if str(label).startswith(PREFIX):
                        found.append(Found(handle, kind == p.CKO_SECRET_KEY, str(label), bytes(meta or b"")))
        return found

    def has(self, label: str) -> bool:
        """Whether an object of this label is there now, whoever made it."""
        return any(one.label == label for one in self.objects())

    def set_meta(self, key: TokenKey, meta: bytes) -> None:
        """Change what is told of a key."""
        p = _pykcs11()
        with self._calling():
            self._session.setAttributeValue(key.handle, [(p.CKA_ID, meta)])

    def remove(self, label: str) -> None:
        """Destroy every object of this label."""
        for one in self.objects():
            if one.label == label:
                with self._calling():
                    self._session.destroyObject(one.handle)

    def forget(self, handle: Any) -> None:
        """Destroy a session key; when the token is gone, so is the key."""
        with self._lock, suppress(Exception):  # run by the garbage collector: nobody is there to be told
            self._session.destroyObject(handle)

    def attributes(self, key: TokenKey) -> Mapping[str, bool]:
        """How the token guards a key: sensitive, extractable, never_extractable, local."""
        p = _pykcs11()
        names = ("sensitive", "extractable", "never_extractable", "local")
        with self._calling():
            values = self._session.getAttributeValue(
                key.handle, [getattr(p, f"CKA_{name.upper()}") for name in names]
            )
        return dict(zip(names, map(bool, values), strict=True))

    def _generated(self, kind: str, mechanism: str, label: str, meta: bytes) -> TokenKey:
        p = _pykcs11()
        template = self._template(kind, label, meta)
        if kind == "CKK_AES":
            template += [(p.CKA_VALUE_LEN, AES_SIZE)]
        with self._calling():
            handle = self._session.generateKey(template, p.Mechanism(getattr(p, mechanism)))
        return TokenKey(self, handle, lasting=True)

    def _template(self, kind: str, label: str = "", meta: bytes = b"") -> list[tuple[int, Any]]:
        """A secret key that works inside and is never read; DES keys never decrypt, AES keys never derive."""
        p = _pykcs11()
        aes = kind == "CKK_AES"
        template = [
            (p.CKA_CLASS, p.CKO_SECRET_KEY), (p.CKA_KEY_TYPE, getattr(p, kind)),
            (p.CKA_TOKEN, bool(label)), (p.CKA_PRIVATE, True), (p.CKA_SENSITIVE, True),
            (p.CKA_EXTRACTABLE, False), (p.CKA_ENCRYPT, True), (p.CKA_DECRYPT, aes), (p.CKA_DERIVE, not aes),
            (p.CKA_WRAP, False), (p.CKA_UNWRAP, False), (p.CKA_SIGN, False), (p.CKA_VERIFY, False),
        ]  # fmt: skip
        if label:
            template += [(p.CKA_LABEL, label), (p.CKA_ID, meta)]
        return template

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """One call at a time; the token's error as a problem."""
        p = _pykcs11()
        with self._lock:
            try:
                yield
                return
            except p.PyKCS11Error as error:
                fault = error.value
        raise _problem(fault, self.label)


def open_token(module: str, label: str, pin: KeyBytes) -> Token:
    """Load the module, find the token, log in, and check that it can do what the vault needs."""
    p = _pykcs11()
    if not pin:
        raise TOKEN_PIN(token=label)
    lib = _loaded(module)
    try:
        slots = {
            lib.getTokenInfo(slot).label.rstrip(" \0"): slot for slot in lib.getSlotList(tokenPresent=True)
        }
        if label not in slots:
            others = ", ".join(sorted(name for name in slots if name)) or "none"
            raise TOKEN_MISSING(module=module, token=label, there=others)
        there = {str(mechanism) for mechanism in lib.getMechanismList(slots[label])}
        missing = [name for name in NEEDED if name not in there]
        if missing:
            raise TOKEN_MECHANISM(token=label, missing=", ".join(missing))
        session = lib.openSession(slots[label], p.CKF_SERIAL_SESSION | p.CKF_RW_SESSION)
        fault = _login(session, pin)
    except p.PyKCS11Error as error:
        fault = error.value
    if fault:
        raise _problem(fault, label)
    return Token(lib, session, label, module)


def _login(session: Any, pin: KeyBytes) -> int:
    """0, or the error. A process that is logged in already stays so: PKCS#11 logs in the process."""
    p = _pykcs11()
    try:
        session.login(pin)
    except p.PyKCS11Error as error:
        fault = int(error.value)
        if _name(fault) == "CKR_USER_ALREADY_LOGGED_IN":
            return 0
        session.closeSession()
        return fault
    return 0


def _loaded(module: str) -> Any:
    p = _pykcs11()
    if not Path(module).is_file():
        raise TOKEN_MODULE(module=module, why="there is no such file")
    lib = p.PyKCS11Lib()
    try:
        return lib.load(module)
    except p.PyKCS11Error as error:
        why = str(error)
    raise TOKEN_MODULE(module=module, why=why)


def _problem(fault: int, label: str) -> Exception:
    name = _name(fault)
    if name in ("CKR_PIN_INCORRECT", "CKR_PIN_LEN_RANGE", "CKR_PIN_INVALID"):
        return TOKEN_PIN(token=label)
    if name in ("CKR_PIN_LOCKED", "CKR_PIN_EXPIRED"):
        return TOKEN_PIN_LOCKED(token=label)
    if name in GONE:
        return TOKEN_REMOVED(token=label, why=name)
    if name == "CKR_MECHANISM_INVALID":
        return TOKEN_MECHANISM(token=label, missing="this operation")
    return TOKEN_FAULT(token=label, why=name)


def _name(fault: int) -> str:
    return str(_pykcs11().CKR.get(fault, f"error {fault}"))


def _pykcs11() -> Any:
    try:
        import PyKCS11
    except ImportError:
        raise TOKEN_LIBRARY() from None
    return PyKCS11
