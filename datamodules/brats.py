"""BraTS' brain tumours: FLAIR images and the whole tumour (all labels above 0).

Read are the layouts of 2015 (`.mha`) and 2020 (NIfTI).
"""

from pathlib import Path

from datamodules.volume_files import VolumeFiles, require_volume_folder
from datamodules.volumes import VolumeDataModule
from interseg.errors import InputError


class BratsDataModule(VolumeDataModule):
    """Data module of BraTS' cases.

    A case is `CASE/CASE_flair.nii.gz` and `CASE/CASE_seg.nii.gz`, or 2015's
    `CASE/*Flair*/*Flair*.mha` and `CASE/*OT*/*OT*.mha`.
    """

    def files(self) -> list[VolumeFiles]:
        root = require_volume_folder(
            self.root, "BraTS", "unpack the archive of the challenge there, a folder a case"
        )
        images = sorted({*root.rglob("*_flair.nii*"), *root.rglob("*Flair*.mha")})
        if not images:
            raise InputError(
                f"{root} has no *_flair.nii.gz and no *Flair*.mha; "
                "give the folder that holds the cases' folders"
            )
        return [VolumeFiles(path, self._label(path)) for path in images]

    def _label(self, image: Path) -> Path:
        if image.suffix == ".mha":
            found = sorted(image.parent.parent.glob("*OT*/*OT*.mha"))
            label = found[0] if found else image.parent.parent / "*OT*"
        else:
            label = image.with_name(image.name.replace("_flair", "_seg"))
        if not label.exists():
            raise InputError(
                f"{image} has no labels {label}; unpack the training archive, or remove the case"
            )
        return label
