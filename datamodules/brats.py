"""BraTS' brain tumours: FLAIR images and the whole tumour (all labels above 0).

Read are the layouts of 2015 (`.mha`) and 2020 (NIfTI).
"""

from fnmatch import fnmatchcase
from pathlib import Path

from datamodules.volume_files import VolumeFiles, require_volume_folder
from datamodules.volumes import VolumeDataModule
from interseg.errors import InputError
from interseg.listing import walk


class BratsDataModule(VolumeDataModule):
    """Data module of BraTS' cases.

    A case is `CASE/CASE_flair.nii.gz` and `CASE/CASE_seg.nii.gz`, or 2015's
    `CASE/*Flair*/*Flair*.mha` and `CASE/*OT*/*OT*.mha`. 2020's case 355 has its labels in a file of
    another name (`W39_1998.09.19_Segm.nii`): the only one in its folder that is called so.
    """

    def files(self) -> list[VolumeFiles]:
        root = require_volume_folder(
            self.root, "BraTS", "unpack the archive of the challenge there, a folder a case"
        )
        images = sorted(
            path
            for path in walk(root)
            if fnmatchcase(path.name, "*_flair.nii*") or fnmatchcase(path.name, "*Flair*.mha")
        )
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
            others = [
                path for path in image.parent.glob("[!.]*.nii*") if "seg" in path.name.lower()
            ]
            if not label.exists() and len(others) == 1:
                label = others[0]
        if not label.exists():
            raise InputError(
                f"{image} has no labels {label}; unpack the training archive, or remove the case"
            )
        return label
