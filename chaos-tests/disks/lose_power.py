#!/usr/bin/env python3
"""Cuts the power of mounted file systems: the shutdown ioctl without log flush (EXT4_IOC_SHUTDOWN,
XFS_IOC_GOINGDOWN). What was synced is on the disk, the rest is gone. The mounts answer EIO from then on.

usage: lose_power.py MOUNT...
"""

import errno
import fcntl
import os
import struct
import sys

SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = struct.pack("I", 2)

# what is written without a sync now must not be there afterwards; the caller looks
mounts = sys.argv[1:]
disks = [os.open(mount, os.O_RDONLY | os.O_DIRECTORY) for mount in mounts]
for mount in mounts:
    with open(os.path.join(mount, f"unsynced-{os.getpid()}"), "xb") as file:
        file.write(b"unsynced" * 8192)
for disk in disks:
    fcntl.ioctl(disk, SHUTDOWN, NO_LOG_FLUSH)

# no proof of effect: the test has failed
for mount in mounts:
    try:
        with open(os.path.join(mount, "written-without-power"), "wb") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno != errno.EIO:
            sys.exit(f"{mount}: expected EIO after the power was cut, found {error}")
    else:
        sys.exit(f"{mount}: takes writes after the power was cut")
