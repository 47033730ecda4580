"""`python child.py PARENT_PID OPTION...`: main.py with these options, in a process that ends when its parent does.

A runner or a Ray worker that is killed outright cannot stop its runs; on Linux the kernel does it, so that no orphan
goes on writing a run's folder, or holds its lock against the process that is to continue it.
"""

from __future__ import annotations

import runpy
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    from env.tools.lifeline import end_with

    end_with(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it,
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # and Ray blocks it
    sys.argv = [str(ROOT / "main.py"), *sys.argv[2:]]
    runpy.run_path(sys.argv[0], run_name="__main__")
