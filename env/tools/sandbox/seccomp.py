"""Giving up system calls for good: a seccomp filter, written for the kernel's own machine; standard library only.

A script may compute, allocate, read files and the clock, and write into its pipe. The list holds what Python, pandas,
NumPy and SQLite call for that (found by tracing scripts) and what other versions of them and of the C library may call
in its place; it holds nothing that reaches another process, changes a file or how something is scheduled, or makes the
kernel remember anything once the script has ended.

Any other call fails: with EPERM, which Python shows as PermissionError, or from 424 on (the calls since 2019, numbered
alike on all machines) with ENOSYS, upon which libraries fall back to an older call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF instructions
CALL, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # where a filter finds them; arguments have 8 bytes, the low half first
ALLOW, KILL = 0x7FFF0000, 0x80000000  # what a filter may return, and
REFUSE, UNKNOWN = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000  # numbers from here are x86-64's second set of calls, which nothing uses
NEW = 424

# What is allowed: (number on x86-64, on aarch64), None where a machine does not have the call.
MEMORY = {  # bounded by the limit on address space
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
}
READING = {
    "read": (0, 63),
    "pread64": (17, 67),
    "readv": (19, 65),
    "preadv": (295, 69),
    "lseek": (8, 62),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "stat": (4, None),
    "lstat": (6, None),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "fadvise64": (221, 223),
}
WRITING = {  # no file is open for it but the pipe
    "write": (1, 64),
    "writev": (20, 66),
}
TIME = {
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "getrusage": (98, 165),
}
WAITING = {  # for locks within the process, for files, and for its own timer and signals
    "futex": (202, 98),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "sched_yield": (24, 124),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "alarm": (37, None),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
}
KNOWING = {  # of oneself and the machine
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "getgroups": (115, 158),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "getcpu": (309, 168),
    "sched_getaffinity": (204, 123),
    "getrandom": (318, 278),
}
RUNNING = {  # the C library's bookkeeping, and the end
    "set_tid_address": (218, 96),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
ALLOWED = MEMORY | READING | WRITING | TIME | WAITING | KNOWING | RUNNING

# Opening is for reading only: neither O_WRONLY, O_RDWR, O_CREAT nor O_TRUNC. (number, which argument has the flags)
WRITE_FLAGS = 0o1 | 0o2 | 0o100 | 0o1000
OPENING = {"open": ((2, 1), None), "openat": ((257, 2), (56, 2))}

# What may be done with a file descriptor, by the second argument. SQLite takes a read lock by F_SETLK; an exclusive
# one needs a file that is open for writing. flock, leases and signals to an owner (which may be another process) are
# not among these.
COMMANDS = {
    "fcntl": ((72, 25), (0, 1, 2, 3, 5, 6, 1030)),  # F_DUPFD, GETFD, SETFD, GETFL, GETLK, SETLK, DUPFD_CLOEXEC
    "ioctl": ((16, 29), (0x5401, 0x802C542A, 0x5450, 0x5451)),  # TCGETS, TCGETS2, FIONCLEX, FIOCLEX
}


def available() -> bool:
    """Whether this is Linux on a machine whose calls the table has."""
    return sys.platform == "linux" and platform.machine() in ARCHITECTURES


def numbers_of(calls: Iterable[tuple[int | None, int | None]], machine: str) -> list[int]:
    """The numbers of `calls` on `machine`, where it has them."""
    column = list(ARCHITECTURES).index(machine)
    return [numbers[column] for numbers in calls if numbers[column] is not None]


def build_filter(machine: str) -> bytes:
    """The BPF program: kill on a foreign architecture, allow what the tables allow, refuse the rest."""
    column = list(ARCHITECTURES).index(machine)
    program = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, CALL),
        (JUMP_AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, REFUSE),
    ]
    for places in OPENING.values():
        if places[column]:
            number, argument = places[column]
            check = [(LOAD, 0, 0, ARGUMENTS + 8 * argument), (JUMP_ANY_BIT, 0, 1, WRITE_FLAGS), (RETURN, 0, 0, REFUSE)]
            program += _block(number, [*check, (RETURN, 0, 0, ALLOW)])
    for numbers, commands in COMMANDS.values():
        check = [(LOAD, 0, 0, ARGUMENTS + 8), *_one_of(commands), (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
        program += _block(numbers[column], check)
    program += _one_of(numbers_of(ALLOWED.values(), machine), further=2)
    program += [(JUMP_AT_LEAST, 0, 1, NEW), (RETURN, 0, 0, UNKNOWN), (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _block(number: int, check: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """`check`, which returns, for the call `number`; others pass it by."""
    return [(JUMP_EQUAL, 0, len(check), number), *check]


def _one_of(values: Iterable[int], further: int = 0) -> list[tuple[int, int, int, int]]:
    """Jump over the next instruction, and `further` ones, where the loaded word is one of `values`."""
    values = list(values)
    return [(JUMP_EQUAL, len(values) - i + further, 0, value) for i, value in enumerate(values)]


def give_up_calls() -> None:
    """Leave this process the tables' calls alone from now on. Raises OSError where the kernel cannot."""
    code = build_filter(platform.machine())
    text = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text))
    _prctl(PR_SET_NO_NEW_PRIVS, 1, None)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program)


def _prctl(option: int, value: int, data: bytes | None) -> None:
    unused = ctypes.c_ulong(0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), data, unused, unused):
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")
