"""NCI-ISBI 2013's prostates: DICOM series with NRRD labels as the Cancer Imaging Archive gives them, or NIfTI pairs."""

from pathlib import Path

from datamodules.dicom import series_folder
from datamodules.volume_files import VolumeFiles, pair_labels, require_volume_folder, volumes_in
from datamodules.volumes import VolumeDataModule
from interseg.errors import InputError

LISTS = ("", ".csv", ".tsv", ".txt", ".json", ".xlsx", ".tcia")
"""Files that archives add to the cases."""


class NciIsbiDataModule(VolumeDataModule):
    """Series anywhere below `images/CASE/` with labels `labels/CASE*.nrrd`, and NIfTI files `images/CASE.nii.gz`, `labels/CASE.nii.gz`."""

    def files(self) -> list[VolumeFiles]:
        how = (
            "download NCI-ISBI 2013 of cancerimagingarchive.net: "
            "the series of each case into images/CASE/, its .nrrd into labels/"
        )
        images, labels = (
            require_volume_folder(self.root / name, "NCI-ISBI 2013", how)
            for name in ("images", "labels")
        )
        cases = volumes_in(images)
        series = [case for case in cases if case.is_dir()]
        files = [case for case in cases if case not in series and case.suffix not in LISTS]
        return sorted(
            [
                *(
                    VolumeFiles(series_folder(case, self.series), self._label(case, labels))
                    for case in series
                ),
                *pair_labels(files, labels),
            ]
        )

    def _label(self, case: Path, labels: Path) -> Path:
        found = [
            path
            for path in sorted(labels.glob(f"{case.name}*.nrrd"))
            if not path.name[len(case.name)].isalnum()
        ]
        if len(found) != 1:
            raise InputError(
                f"{case} has {len(found)} files of labels {case.name}*.nrrd in {labels}; "
                "each case has one"
            )
        return found[0]
