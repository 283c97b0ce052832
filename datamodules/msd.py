"""The layout of the Medical Segmentation Decathlon: `dataset.json` names images and labels."""

import json

from datamodules.volume_files import VolumeFiles, require_volume_folder
from datamodules.volumes import VolumeDataModule
from interseg.errors import InputError
from interseg.listing import inside

DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""Errors of reading a damaged JSON file."""


class MsdDataModule(VolumeDataModule):
    """Data module of a task's training images; `channel` chooses one of several modalities."""

    def files(self) -> list[VolumeFiles]:
        root = require_volume_folder(
            self.root,
            "a task of the Medical Segmentation Decathlon",
            "unpack an archive of medicaldecathlon.com",
        )
        path = root / "dataset.json"
        try:
            files = []
            for row in json.loads(path.read_text(encoding="utf-8-sig"))["training"]:
                image, label = (inside(root, row[part], path) for part in ("image", "label"))
                files.append(VolumeFiles(image, label))
        except InputError:
            raise
        except FileNotFoundError:
            raise InputError(f"{path} does not exist; unpack the whole archive") from None
        except DAMAGED as error:
            raise InputError(
                f"{path} is not the decathlon's ({error}); unpack the archive again"
            ) from None
        for row in files:
            for part in row:
                if not part.exists():
                    raise InputError(
                        f"{part} does not exist, but {path} names it; unpack the archive again"
                    )
        return sorted(files)
