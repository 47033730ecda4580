"""Running Python that a model wrote, so that it can compute an answer and do nothing else.

Three processes share the work. The run (runner.py) never executes a script; it starts a worker (worker.py) behind the
machine's protection (protection.py) and sends it scripts. The worker has imported the heavy libraries and forks for
every script; the fork gives up process creation, sockets, signals and the like for good (seccomp), gets limits on CPU
time, memory and files, and only then runs the script. So a script starts in milliseconds, sees no file but Python's
and those it was given, and has nothing to talk to but the pipe that takes its answer.
"""

from .runner import Outcome, Sandbox

__all__ = ["Outcome", "Sandbox"]
