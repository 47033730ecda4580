"""Giving up system calls for good: a seccomp filter, written for the kernel's own machine; standard library only.

A script may compute, allocate and read files. What this filter takes from it: new processes and threads, other
programs, sockets, signals, tracing, mounts and namespaces, memory that no limit counts, and the kernel's rarer
interfaces. A refused call fails with EPERM, which Python shows as PermissionError.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
import sys

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 1, 22, 38, 2
LOAD_WORD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # BPF instructions
ALLOW, FAIL, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000  # what a filter may return
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000  # numbers from here are x86-64's second set of calls, which nothing uses

# What is refused: (number on x86-64, on aarch64), None where a machine does not have the call.
REFUSED = {
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "setrlimit": (160, 164),
    "prlimit64": (302, 261),
    "setpriority": (141, 140),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "io_setup": (206, 0),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "personality": (135, 92),
    "syslog": (103, 116),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
}


def available() -> bool:
    """Whether this is Linux on a machine whose calls the table has."""
    return sys.platform == "linux" and platform.machine() in ARCHITECTURES


def refused_numbers(machine: str) -> list[int]:
    """Numbers of the refused calls on `machine`."""
    column = list(ARCHITECTURES).index(machine)
    return [numbers[column] for numbers in REFUSED.values() if numbers[column] is not None]


def build_filter(machine: str) -> bytes:
    """The BPF program: kill on a foreign architecture, refuse the table's calls, allow the rest."""
    numbers = refused_numbers(machine)
    instruction = struct.Struct("=HBBI").pack  # code, jump if true, jump if false, value
    program = [
        instruction(LOAD_WORD, 0, 0, 4),  # the architecture
        instruction(JUMP_EQUAL, 1, 0, ARCHITECTURES[machine]),
        instruction(RETURN, 0, 0, KILL),
        instruction(LOAD_WORD, 0, 0, 0),  # the call's number
        instruction(JUMP_AT_LEAST, len(numbers) + 1, 0, X32),
    ]
    program += [instruction(JUMP_EQUAL, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    return b"".join([*program, instruction(RETURN, 0, 0, ALLOW), instruction(RETURN, 0, 0, FAIL)])


def give_up_calls() -> None:
    """Refuse the table's calls to this process from now on. Raises OSError where the kernel cannot."""
    code = build_filter(platform.machine())
    text = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text))
    _prctl(PR_SET_NO_NEW_PRIVS, 1, None)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program)


def die_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, None)


def _prctl(option: int, value: int, data: bytes | None) -> None:
    unused = ctypes.c_ulong(0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), data, unused, unused):
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")
