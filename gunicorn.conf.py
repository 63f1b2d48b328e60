"""What every gunicorn here does besides its command line; gunicorn reads this file by itself.

A web worker is mostly imports. Left alone, glibc gives each of its threads a heap of its own and
keeps what importing has freed; and Python's collector writes into every object that workers share
with the process that loaded them. What each step saves stands in ``bench/NOTES.md``.
"""

import ctypes
import gc

M_ARENA_MAX = -8  # glibc's malloc.h
ARENAS = 2

try:
    _libc: ctypes.CDLL | None = ctypes.CDLL("libc.so.6")
except OSError:  # another C library than glibc: its malloc is left as it is
    _libc = None

if _libc is not None:
    _libc.mallopt(M_ARENA_MAX, ARENAS)


def when_ready(_server: object) -> None:
    """With ``--preload``, the application is loaded and no worker is forked yet."""
    gc.collect()
    gc.freeze()
    if _libc is not None:
        _libc.malloc_trim(0)
