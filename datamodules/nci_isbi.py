"""NCI-ISBI 2013's prostates: the archive's DICOM series with NRRD labels, or NIfTI pairs."""

from pathlib import Path

from datamodules.dicom import series_folder
from datamodules.volume_files import VolumeFiles, pair_labels, require_volume_folder, volumes_in
from datamodules.volumes import VolumeDataModule
from interseg.errors import InputError


class NciIsbiDataModule(VolumeDataModule):
    """Data module of prostates in two layouts.

    A case is a DICOM series anywhere below `images/CASE/` with labels `CASE*.nrrd` anywhere below
    `labels/` (the archives have `Training/`, `Test/`, ...), or the NIfTI files
    `images/CASE.nii.gz` and `labels/CASE.nii.gz`.
    """

    def files(self) -> list[VolumeFiles]:
        how = (
            "download NCI-ISBI 2013 of cancerimagingarchive.net: "
            "the series of each case into images/CASE/, its .nrrd into labels/"
        )
        images = require_volume_folder(self.root / "images", "NCI-ISBI 2013", how)
        labels = require_volume_folder(self.root / "labels", "NCI-ISBI 2013", how)
        found, files = [], []
        for case in volumes_in(images):
            if case.is_dir():
                folder = series_folder(case, self.series)
                found.append(VolumeFiles(folder, self._label(case, labels)))
            elif case.suffix:
                files.append(case)
        return sorted([*found, *pair_labels(files, labels)])

    def _label(self, case: Path, labels: Path) -> Path:
        found = []
        for path in sorted(labels.rglob(f"{case.name}*.nrrd")):
            following = path.name[len(case.name)]  # a letter or digit continues another case's name
            if not following.isalnum():
                found.append(path)
        if len(found) != 1:
            raise InputError(
                f"{case} has {len(found)} files of labels {case.name}*.nrrd in {labels}; "
                "each case has one"
            )
        return found[0]
