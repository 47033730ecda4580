"""Start a command in Linux namespaces of its own; a script for machines without bubblewrap, standard library only.

    python namespaces.py '{"shown": {inside: outside}, "links": {inside: target}, "work": folder, "writable": false,
        "command": [...]}'

The command becomes process 1 of its own world: other user, process, network, IPC and host-name namespaces, and a file
tree that holds what is shown, read-only, and nothing else; the working folder alone may be writable, in memory. It has
no capabilities there and dies with this script.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import stat
import sys

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 1, 2, 4, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH, PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 2, 1, 38
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
INSIDE_ID = 65534  # nobody
WORK_SIZE = "64m"
ROOT = "/tmp"  # where the new tree is put together; whatever the machine keeps there is hidden by it


class Kernel:
    """System calls by name, an OSError where one fails."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def call(self, name: str, *arguments: object) -> None:
        if getattr(self._libc, name)(*map(as_argument, arguments)) == -1:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}{arguments}: {os.strerror(number)}")

    def mount(self, source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
        self.call("mount", source, target, kind, flags, data)


def as_argument(value: object) -> object:
    if isinstance(value, str):
        return value.encode()
    return ctypes.c_long(value) if isinstance(value, int) else value


def main() -> None:
    plan = json.loads(sys.argv[1])
    kernel = Kernel()
    enter_namespaces(kernel)
    build_tree(kernel, plan["shown"], plan["links"], plan["work"], plan["writable"])
    child = os.fork()  # the first process of the new process namespace
    die_with_parent(kernel)
    if child == 0:
        os.execv(plan["command"][0], plan["command"])
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)


def enter_namespaces(kernel: Kernel) -> None:
    """Leave the machine's namespaces; outside, this process keeps its user and loses what root could do."""
    user, group = os.getuid(), os.getgid()
    die_with_parent(kernel)
    kinds = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
    kernel.call("unshare", CLONE_NEWUSER | kinds)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{INSIDE_ID} {user} 1"),
        ("gid_map", f"{INSIDE_ID} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    kernel.call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def die_with_parent(kernel: Kernel) -> None:
    parent = os.getppid()
    kernel.call("prctl", PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it died in between
        os._exit(1)


def build_tree(kernel: Kernel, shown: dict[str, str], links: dict[str, str], work: str, writable: bool) -> None:
    """Make a tree of what is shown and enter it, so that nothing else has a name any more."""
    kernel.mount(None, "/", None, MS_REC | MS_PRIVATE)
    sources = {inside: os.open(path, os.O_PATH) for inside, path in shown.items()}
    kernel.mount("tmpfs", ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for inside in sorted(sources):
        target, source = ROOT + inside, f"/proc/self/fd/{sources[inside]}"
        if os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT, 0o444))
        kernel.mount(source, target, None, MS_BIND | MS_REC)
        make_read_only(kernel, target, is_device=stat.S_ISCHR(os.stat(source).st_mode))
        os.close(sources[inside])
    for inside, target in links.items():
        os.makedirs(os.path.dirname(ROOT + inside), exist_ok=True)
        os.symlink(target, ROOT + inside)
    os.makedirs(ROOT + work)
    if writable:
        kernel.mount("tmpfs", ROOT + work, "tmpfs", MS_NOSUID | MS_NODEV, f"size={WORK_SIZE},mode=755")
    kernel.mount(None, ROOT, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.chdir(ROOT)
    kernel.call("syscall", SYS_PIVOT_ROOT[os.uname().machine], ".", ".")
    kernel.call("umount2", ".", MNT_DETACH)  # the old tree, which pivot_root put over the new one
    os.chdir(work)


def make_read_only(kernel: Kernel, target: str, is_device: bool) -> None:
    """Forbid writing below `target`, other file systems mounted there included; a device is there to be read."""
    flags = MS_RDONLY | MS_NOSUID | (0 if is_device else MS_NODEV)
    attributes = (ctypes.c_uint64 * 4)(flags, 0, 0, 0)  # struct mount_attr, to set
    size = ctypes.sizeof(attributes)
    kernel.call("syscall", SYS_MOUNT_SETATTR, AT_FDCWD, target, AT_RECURSIVE, ctypes.byref(attributes), size)


if __name__ == "__main__":
    main()
