"""For child processes: to end with the one that started them. Standard library only."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Ask the kernel to kill this process when `parent` dies; where it has died already, end now.

    Linux only. There a parent is a thread: one that was started in a thread of the run ends with that thread.
    """
    if sys.platform == "linux":
        unused = ctypes.c_ulong(0)
        kill = ctypes.c_ulong(signal.SIGKILL)
        ctypes.CDLL(None).prctl(ctypes.c_int(PR_SET_PDEATHSIG), kill, unused, unused, unused)
    if os.getppid() != parent:
        sys.exit("the parent process has ended")
