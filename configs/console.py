"""Console of the commands: one line for an error of the user's, and quiet libraries."""

import ctypes
import errno
import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from interseg.errors import InputError

SILENCED = (
    "`srun` command is available",  # srun is for those who ask SLURM for it
    "does not have many workers",  # two cores are what there is
    "tensorboardX",
    "LeafSpec",
    "isinstance.treespec",
    "sync_dist=True",  # the figures are gathered before they are logged
    "Experiment logs directory",  # csv_logger keeps what is there
    r"module\(s\) in eval mode",  # frozen norms
    "but have no `val_dataloader`",  # streams of tasks are measured by callbacks.transfer
    "your dataloader is not resumable",  # datamodules.base.EpochBatches is
    # a large photo; beyond twice Pillow's limit it is an error (interseg/images.py)
    "decompression bomb DOS attack",
)
"""Warnings of the libraries that do not hold here, or that nobody can mend."""


def reuse_freed_memory() -> None:
    """Keep the memory of freed tensors in the process, where the C library is glibc.

    By default it returns large blocks to the system and asks for fresh, zeroed pages in the next
    layer (benchmarks/speed.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        no_mmap, trim_threshold = -4, -1
        mallopt(no_mmap, 0)
        mallopt(trim_threshold, 2**31 - 1)


UNWRITABLE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENAMETOOLONG,
)
"""What a disk says that takes nothing."""


class Advertisements(logging.Filter):
    """Passes over what Lightning prints in every run to sell its services."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is to be printed."""
        return "💡 Tip" not in str(record.msg)


def own_message(error: InputError) -> str:
    """Give an error's message, of a loader's process the last line below torch's traceback."""
    text = str(error).strip()
    if not text.startswith("Caught "):
        return text
    return text.splitlines()[-1].split("InputError: ", 1)[-1]


ADVERTISEMENTS = Advertisements()
"""One for all calls: a logger takes the same filter once."""


def run_guarded(main: Callable[[], int | None]) -> None:
    """Run a command; what a person can mend is printed as one line, exit code 2."""
    for message in SILENCED:
        warnings.filterwarnings("ignore", f".*{message}.*")
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(ADVERTISEMENTS)
    torch.set_float32_matmul_precision("high")
    reuse_freed_memory()
    try:
        sys.exit(main())
    except (InputError, MisconfigurationException, RuntimeError, OSError, EOFError) as error:
        line = line_for(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def line_for(error: Exception) -> str | None:
    """Write what a person is told of an error; None for one that nobody can mend but us."""
    if isinstance(error, InputError):
        return own_message(error)
    # what Lightning finds in a config once it runs, and an EarlyStopping at the end of an epoch
    if isinstance(error, MisconfigurationException) or "conditioned on metric" in str(error):
        return " ".join(str(error).split())
    if isinstance(error, torch.OutOfMemoryError):
        return (
            "the device's memory is too small; give smaller batches (loading.batch_size, "
            "loading.eval_batch_size) or views (model.long_side), or --device cpu"
        )
    if is_lost_worker(error):
        return (
            "a loader's process was killed, as for want of memory or of /dev/shm; lower "
            "loading.num_workers or loading.batch_size, and go on with run=RUN checkpoint=last"
        )
    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        refused = error.errno in (errno.EACCES, errno.EPERM)
        return (
            f"{error.filename or 'a file'} cannot be {'opened' if refused else 'written'}: "
            f"{error.strerror}; {'ask for the right to' if refused else 'make room'}, or name "
            "another place"
        )
    return None


def is_lost_worker(error: Exception) -> bool:
    """Tell whether an error is that of a loader whose process was killed."""
    if isinstance(error, ConnectionError | EOFError):  # of the pipe to it, and of nothing it read
        last = traceback.extract_tb(error.__traceback__)[-1:]
        return any(Path(f.filename).match("multiprocessing/connection.py") for f in last)
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid")
