"""A filter of system calls (seccomp): what no attack step needs is refused, from within the kernel, for good.

A list of what is refused, not of what is allowed: numerical libraries call widely, and files are Landlock's or another user's
business. Numbers are those of the kernel's `unistd.h`; on processors that are not in the table there is no filter.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable

from mialang.engine.isolation.system import PR_GET_SECCOMP, linux, machine, prctl

# name → number on x86-64, number on aarch64 (None where the processor lacks the call)
REFUSED: dict[str, tuple[int | None, int | None]] = {
    # connections: none is made, none is accepted; the pipes to the handle are open already
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242),
    # other processes: their memory, files, attributes and signals
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "process_madvise": (440, 440),
    "process_mrelease": (448, 448), "move_pages": (279, 239), "migrate_pages": (256, 238), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    # processes and programs of its own
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    # memory and queues that are shared by number or by name
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193),
    "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
    "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
    # files that cannot be opened, and of which Landlock forgets that they can be changed all the same
    "chmod": (90, None), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "lchown": (94, None),
    "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6), "removexattr": (197, 14), "lremovexattr": (198, 15),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "truncate": (76, 45),
    # a way around files: mounts, other roots, handles, rings that call for a process
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "unshare": (272, 97), "setns": (308, 268), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "fanotify_init": (300, 262),
    # the kernel itself: its keys, programs, modules, clocks
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "sethostname": (170, 161), "setdomainname": (171, 162),
    "syslog": (103, 116), "acct": (163, 89), "quotactl": (179, 60), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171), "personality": (135, 92),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
}  # fmt: skip
CLONE, CLONE3 = (56, 220), (435, 435)  # threads yes, processes no
TO_OWN = {"kill": (62, 129), "tgkill": (234, 131)}  # signals to itself yes, to others no
PRLIMIT = (302, 261)  # of itself yes, of others no

PROCESSORS = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # place in the table, number of the interface
CLONE_THREAD = 0x00010000
OTHER_INTERFACE = 0x40000000  # calls of x86-64 with short pointers go by other numbers
PR_SET_SECCOMP, MODE_FILTER = 22, 2

LOAD, EQUAL, AT_LEAST, ANY_BIT, ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, INTERFACE, FIRST_ARGUMENT = 0, 4, 16  # places in what the filter is shown

Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def available() -> bool:
    """Whether the kernel filters, on this processor."""
    if not linux() or machine() not in PROCESSORS:
        return False
    try:
        prctl(PR_GET_SECCOMP)
    except OSError:
        return False
    return True


def refuse(process: int | None = None) -> None:
    """Refuse, for good, what no attack step needs. Needs `PR_SET_NO_NEW_PRIVS`.

    Raises:
        OSError: the kernel does not filter.
    """
    code = b"".join(struct.pack("HBBI", *each) for each in program(machine(), process or os.getpid()))
    held = _Program(len(code) // 8, code)
    prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.addressof(held))


def program(family: str, process: int) -> list[Instruction]:
    """The filter for a processor and a process, as instructions of the kernel's packet filter."""
    place, interface = PROCESSORS[family]
    made: list[Instruction] = [
        (LOAD, 0, 0, INTERFACE),
        (EQUAL, 1, 0, interface),
        (ANSWER, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, OTHER_INTERFACE),
        (ANSWER, 0, 0, KILL),
    ]
    for numbers in REFUSED.values():
        if (number := numbers[place]) is not None:
            made += _answer(number, REFUSE | errno.EPERM)
    made += _answer(CLONE3[place], REFUSE | errno.ENOSYS)  # the C library then falls back to what can be looked into
    made += _unless(CLONE[place], (ANY_BIT, 1, 0, CLONE_THREAD))
    made += _unless(PRLIMIT[place], (EQUAL, 1, 0, 0))
    for own in TO_OWN.values():
        made += _unless(own[place], (EQUAL, 1, 0, process))
    return [*made, (ANSWER, 0, 0, ALLOW)]


def _answer(number: int, answer: int) -> Iterable[Instruction]:
    return [(EQUAL, 0, 1, number), (ANSWER, 0, 0, answer)]


def _unless(number: int, allowed: Instruction) -> Iterable[Instruction]:
    """Refuse a call unless its first argument is right."""
    return [
        (EQUAL, 0, 4, number),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        allowed,
        (ANSWER, 0, 0, REFUSE | errno.EPERM),
        (ANSWER, 0, 0, ALLOW),
    ]
