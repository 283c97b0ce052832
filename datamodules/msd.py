"""The layout of the Medical Segmentation Decathlon: `dataset.json` names images and labels."""

import json

from datamodules.volume_files import VolumeFiles, require_volume_folder
from datamodules.volumes import VolumeDataModule
from interseg.errors import InputError
from interseg.listing import inside


class MsdDataModule(VolumeDataModule):
    """A task's training images; where a file holds several modalities, `channel` says which is taken."""

    def files(self) -> list[VolumeFiles]:
        root = require_volume_folder(
            self.root,
            "a task of the Medical Segmentation Decathlon",
            "unpack an archive of medicaldecathlon.com",
        )
        path = root / "dataset.json"
        try:
            rows = json.loads(path.read_text(encoding="utf-8-sig"))["training"]
            files = [
                VolumeFiles(*(inside(root, row[part], path) for part in ("image", "label")))
                for row in rows
            ]
        except InputError:
            raise
        except FileNotFoundError:
            raise InputError(f"{path} does not exist; unpack the whole archive") from None
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:  # whatever a damaged JSON holds
            raise InputError(
                f"{path} is not the decathlon's ({error}); unpack the archive again"
            ) from None
        for row in files:
            for part in row:
                if not part.exists():
                    raise InputError(
                        f"{part} does not exist, {path} names it; unpack the archive again"
                    )
        return sorted(files)
