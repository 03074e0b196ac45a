"""Keep compiled code on the disk: a cache that may fail, but never stops a program nor runs damaged code.

Numba's own cache ends a program where no folder can be written, where the disk is full, and where one of its files is
damaged, and it runs machine code whose bytes have changed on the disk. Here each file carries a checksum, over the
code, its name and the processor that it was compiled for; any failure of the cache costs a compilation and one warning.
"""

import hashlib
import logging
import pickle
from typing import Any, TypeVar, final

from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.serialize import dumps

from saiki.errors import FileError

log = logging.getLogger("saiki")

T = TypeVar("T")


class _Checked(CompileResultCacheImpl):
    """Turns compiled code into bytes with a checksum, and back."""

    def _checksum(self, codegen: Any, data: bytes) -> str:
        made_for = repr((self.filename_base, codegen.magic_tuple())).encode()
        return hashlib.sha256(made_for + data).hexdigest()

    def reduce(self, cres: Any) -> tuple[str, bytes]:
        """Return the checksum of compiled code, and the code."""
        data = dumps(super().reduce(cres))
        return self._checksum(cres.library.codegen, data), data

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        """Return the compiled code of these bytes.

        Raises:
            FileError: the bytes are not those that were written, or were written for another processor.
        """
        checksum, data = payload
        if checksum != self._checksum(target_context.codegen(), data):
            raise FileError("a file has changed since it was written")
        return super().rebuild(target_context, pickle.loads(data))


@final
class _Cache(FunctionCache):
    """Finds compiled code on the disk, and writes it there, if that can be done."""

    _impl_class = _Checked

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the code compiled for a signature, or None."""
        try:
            found = super().load_overload(sig, target_context)
        except Exception as error:  # no file can be trusted, and unpickling one may raise anything
            _warn(f"a file in {self.cache_path} cannot be used", error)
            self._forget()
            return None
        fits = found is not None and tuple(found.signature.args) == tuple(getattr(sig, "args", sig))
        return found if fits else None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write the code compiled for a signature."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _warn(f"{self.cache_path} cannot be written", error)

    def _forget(self) -> None:
        """Write an empty index in the place of a damaged one."""
        try:
            self.flush()
        except OSError:
            return


def keep(compiled: T, function: Any) -> T:
    """Give what Numba compiles from a function a place on the disk, if there is one; return it."""
    try:
        compiled._cache = _Cache(function)  # type: ignore[attr-defined]  # Numba has no other way to hand one over
    except (RuntimeError, OSError) as error:
        _warn("there is no folder that can be written", error)
    return compiled


_warned: list[str] = []


def _warn(what: str, error: Exception) -> None:
    """Say once in each process that the cache fails."""
    if not _warned:
        log.warning(
            "saiki cannot keep compiled code for later processes, which compile it again: %s (%s: %s)."
            " Set NUMBA_CACHE_DIR to a folder that can be written, or delete the files there.",
            what,
            type(error).__name__,
            error,
        )
    _warned.append(what)
