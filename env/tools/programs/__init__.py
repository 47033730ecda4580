"""Running a program that a model wrote against a test, with the expected answers out of its reach.

Two workers of the sandbox share the work, and neither holds what the other must not see. The student (student.py) runs
the program on one input and sends its result as data. The examiner (examiner.py) has the test, which makes the inputs
and knows the answers; it never runs the program, and reads results by an unpickler that makes values of known kinds
and nothing else (transfer.py). The harness (harness.py) carries messages between them and reads neither.
"""

from .harness import Harness, Verdict

__all__ = ["Harness", "Verdict"]
