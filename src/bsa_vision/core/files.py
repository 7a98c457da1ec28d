"""Writing files so that an interruption never leaves half of one."""

import os
from pathlib import Path


def write_whole(file: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    OSError
        When it cannot be written; an earlier file of the name is then as it was.
    """
    # Two programs that write the same file must not write into the same unfinished one.
    partial = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        partial.replace(file)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
