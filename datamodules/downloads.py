"""Published archives that can be downloaded without registration.

Their addresses and checksums are those that torchvision has.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlparse

from torchvision.datasets import SBDataset
from torchvision.datasets.utils import download_url
from torchvision.datasets.voc import DATASET_YEAR_DICT

from interseg.errors import InputError

SILENCE = 30
"""Time in seconds without an answer after which a server counts as unreachable."""


class Archive:
    """A published archive.

    Args:
        what: Name of its content, for messages.
        url: Address of the archive.
        md5: Checksum of the archive; torchvision refuses a file with another one.
        how: Instruction to get it by hand.
    """

    def __init__(self, what: str, url: str, md5: str, how: str) -> None:
        self.what, self.url, self.md5, self.how = what, url, md5, how

    def fetch(self, root: Path, wanted: Path, check: Callable[[], None]) -> None:
        """Download and unpack the archive into `root`, unless `wanted` exists.

        One process downloads while others that share the disk wait for it. If the download fails,
        folders that were made for it are removed.

        Args:
            root: Folder to unpack into.
            wanted: Path of the archive that exists once it is unpacked.
            check: Function that raises `InputError` if the archive is not complete.

        Raises:
            InputError: The archive cannot be downloaded.
        """
        if wanted.exists():
            return
        timeout = socket.getdefaulttimeout()
        missing = [folder for folder in (root, *root.parents) if not folder.exists()]
        try:
            with hold_lock(root / ".download.lock"):
                if not wanted.exists():
                    self._download(root)
                    check()
                    print(f"{self.what}: complete", flush=True)
        except InputError:
            raise
        except Exception as error:  # of sockets, HTTP, checksums, disks: the download failed
            raise InputError(
                f"{self.what} is expected in {wanted.absolute()} and could not be downloaded "
                f"({str(error)[:120]}): {self.how}. "
                "Give another place by data.root=PATH; "
                "--config data/samples.yaml needs no download, "
                "--config data/folder.yaml reads your own images"
            ) from None
        finally:
            socket.setdefaulttimeout(timeout)
            with contextlib.suppress(OSError):  # they are not empty
                for folder in missing:
                    folder.rmdir()

    def _download(self, root: Path) -> None:
        print(f"{self.what}: downloading {self.url} to {root.absolute()}", flush=True)
        socket.setdefaulttimeout(SILENCE)
        name = Path(urlparse(self.url).path).name
        download_url(self.url, str(root), name, self.md5)
        unpack(root / name, root)


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold a lock file, and remove it at the end."""
    lock = take(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.close()


def take(path: Path) -> IO[str]:
    """Wait for a lock file, and for the next one if that was removed meanwhile."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            lock = path.open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(path)):
                return lock


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar file; what it holds appears in the folder once all of it is unpacked.

    Raises:
        tarfile.FilterError: A member leads out of the folder, by its name or by a link.
    """
    part = folder / ".unpacking"
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        with tarfile.open(archive) as file:
            file.extractall(part, filter="data")
        move_into(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def move_into(source: Path, folder: Path) -> None:
    """Move all that lies in one folder into another, and below folders that both have."""
    for path in source.iterdir():
        if path.is_dir() and (folder / path.name).is_dir():
            move_into(path, folder / path.name)
        else:
            path.replace(folder / path.name)


def expect(what: str, counts: dict[str, tuple[int, int]]) -> None:
    """Raise `InputError` unless a freshly unpacked set has its published sizes.

    Args:
        what: Name of the set, for messages.
        counts: Numbers of images (found, published) by the name of a list.
    """
    for name, (found, published) in counts.items():
        if found != published:
            raise InputError(
                f"{what}: {name} lists {found} images, {published} were published; "
                "remove the folder and download again"
            )


VOC = Archive(
    "PASCAL VOC 2012",
    DATASET_YEAR_DICT["2012"]["url"],
    DATASET_YEAR_DICT["2012"]["md5"],
    "unpack VOCtrainval_11-May-2012.tar (host.robots.ox.ac.uk/pascal/VOC/voc2012) there, "
    "so that VOCdevkit/VOC2012 lies in it",
)
SBD = Archive(
    "the Semantic Boundaries Dataset",
    SBDataset.url,
    SBDataset.md5,
    "unpack benchmark.tgz (of the Semantic Boundaries Dataset) there, "
    "so that benchmark_RELEASE/dataset lies in it",
)
