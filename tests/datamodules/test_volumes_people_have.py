"""Volume files as people have them: the right size, or the line that says what is wrong."""

import pytest

from datamodules.volume_files import read_volume
from tests.helpers.people import (
    outcome,
    volume,
    write_series,
)


def elsewhere(root):
    header = (
        "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile "
        "= ../secret.raw\n"
    )
    (root / "a.mhd").write_text(header)
    return read_volume(root / "a.mhd")


def dicom(root, places=(0, 2, 4, 6, 8, 10), series=None, spoil=None, second=False):
    paths = write_series(root / "case", "1.2.3", "T2", places)
    if second:
        write_series(root / "case", "1.2.4", "ADC", places)
    if spoil is not None:
        content = paths[spoil].read_bytes()
        paths[spoil].write_bytes(content[: len(content) // 2])
    image = read_volume(root / "case", series=series)
    return image.GetSize(), image.GetSpacing()[2]


VOLUMES = [
    ("NIfTI", lambda root: volume(root, "a.nii.gz"), (6, True)),
    (
        "a.nii cut to 0.05",
        lambda root: volume(root, "a.nii", 0.05),
        "error: ROOT/a.nii is cut short: its voxels need 9568 bytes, it has 478; "
        "copy or download it again",
    ),
    (
        "a.nii cut to 0.5",
        lambda root: volume(root, "a.nii", 0.5),
        "error: ROOT/a.nii is cut short: its voxels need 9568 bytes, it has 4784; "
        "copy or download it again",
    ),
    (
        "a.nii cut to 0.999",
        lambda root: volume(root, "a.nii", 0.999),
        "error: ROOT/a.nii is cut short: its voxels need 9568 bytes, it has 9558; "
        "copy or download it again",
    ),
    (
        "a.nii.gz cut to 0.05",
        lambda root: volume(root, "a.nii.gz", 0.05),
        "error: ROOT/a.nii.gz cannot be read as a volume, "
        "it is damaged or cut short (Compressed file ended before the end-of-stream marker was "
        "reached); copy or download it again",
    ),
    (
        "a.nii.gz cut to 0.5",
        lambda root: volume(root, "a.nii.gz", 0.5),
        "error: ROOT/a.nii.gz cannot be read as a volume, "
        "it is damaged or cut short (Compressed file ended before the end-of-stream marker was "
        "reached); copy or download it again",
    ),
    (
        "a.nii.gz cut to 0.999",
        lambda root: volume(root, "a.nii.gz", 0.999),
        "error: ROOT/a.nii.gz cannot be read as a volume, "
        "it is damaged or cut short (Compressed file ended before the end-of-stream marker was "
        "reached); copy or download it again",
    ),
    (
        "a.mha cut to 0.5",
        lambda root: volume(root, "a.mha", 0.5),
        "error: ROOT/a.mha cannot be read as a volume (it is damaged or cut short); "
        "replace the file",
    ),
    (
        "a.mha cut to 0.98",
        lambda root: volume(root, "a.mha", 0.98),
        "error: ROOT/a.mha cannot be read as a volume (it is damaged or cut short); "
        "replace the file",
    ),
    (
        "a.nrrd cut to 0.5",
        lambda root: volume(root, "a.nrrd", 0.5),
        "error: ROOT/a.nrrd cannot be read as a volume ([nrrd] _nrrdEncodingRaw_read: "
        "fread got only 2230 2-sized things, not 4608 (48.3941% of expected)); replace the file",
    ),
    (
        "a.nrrd cut to 0.98",
        lambda root: volume(root, "a.nrrd", 0.98),
        "error: ROOT/a.nrrd cannot be read as a volume ([nrrd] _nrrdEncodingRaw_read: "
        "fread got only 4513 2-sized things, not 4608 (97.9384% of expected)); replace the file",
    ),
    (
        "a.gipl cut to 0.5",
        lambda root: volume(root, "a.gipl", 0.5),
        "error: ROOT/a.gipl is cut short: its voxels need 9472 bytes, it has 4736; "
        "copy or download it again",
    ),
    (
        "a.gipl cut to 0.98",
        lambda root: volume(root, "a.gipl", 0.98),
        "error: ROOT/a.gipl is cut short: its voxels need 9472 bytes, it has 9283; "
        "copy or download it again",
    ),
    (
        "a.vtk cut to 0.5",
        lambda root: volume(root, "a.vtk", 0.5),
        "error: ROOT/a.vtk is cut short: its voxels need 9586 bytes, it has 4793; "
        "copy or download it again",
    ),
    (
        "a.vtk cut to 0.98",
        lambda root: volume(root, "a.vtk", 0.98),
        "error: ROOT/a.vtk is cut short: its voxels need 9586 bytes, it has 9394; "
        "copy or download it again",
    ),
    (
        "a.tif cut to 0.5",
        lambda root: volume(root, "a.tif", 0.5),
        "error: ROOT/a.tif is cut short: it names pictures behind its end; "
        "copy or download it again",
    ),
    (
        "a.tif cut to 0.98",
        lambda root: volume(root, "a.tif", 0.98),
        "error: ROOT/a.tif is cut short: it names pictures behind its end; "
        "copy or download it again",
    ),
    (
        "a.mrc cut to 0.5",
        lambda root: volume(root, "a.mrc", 0.5),
        "error: ROOT/a.mrc is cut short: its voxels need 10240 bytes, it has 5120; "
        "copy or download it again",
    ),
    (
        "a.mrc cut to 0.98",
        lambda root: volume(root, "a.mrc", 0.98),
        "error: ROOT/a.mrc is cut short: its voxels need 10240 bytes, it has 10035; "
        "copy or download it again",
    ),
    (
        "NIfTI pair, voxels cut",
        lambda root: volume(root, "a.hdr", 0.5, "a.img"),
        "error: ROOT/a.hdr is cut short: its voxels need 9216 bytes, it has 4608; "
        "copy or download it again",
    ),
    ("NIfTI pair", lambda root: volume(root, "a.hdr"), (6, True)),
    (
        "MetaImage, voxels cut",
        lambda root: volume(root, "a.mhd", 0.5, "a.raw"),
        "error: ROOT/a.mhd cannot be read as a volume (it is damaged or cut short); "
        "replace the file",
    ),
    (
        "MetaImage, compressed",
        lambda root: volume(root, "a.mha", 0.9, zipped=True),
        "error: ROOT/a.mha cannot be read as a volume (it is damaged or cut short); "
        "replace the file",
    ),
    (
        "NRRD, compressed",
        lambda root: volume(root, "a.nrrd", 0.9, zipped=True),
        "error: ROOT/a.nrrd cannot be read as a volume ([nrrd] _nrrdEncodingGzip_read: "
        "expected 9216 bytes but received 8256); replace the file",
    ),
    (
        "NRRD, voxels cut",
        lambda root: volume(root, "a.nhdr", 0.5, "a.raw"),
        "error: ROOT/a.nhdr cannot be read as a volume ([nrrd] _nrrdEncodingRaw_read: "
        "fread got only 2304 2-sized things, not 4608 (50% of expected)); replace the file",
    ),
    ("GIPL", lambda root: volume(root, "a.gipl"), (6, True)),
    ("VTK", lambda root: volume(root, "a.vtk"), (6, True)),
    (
        "voxels elsewhere",
        elsewhere,
        "error: ROOT/a.mhd names '../secret.raw', which leads out of its folder; "
        "keep the voxels beside it",
    ),
    ("DICOM", dicom, ((32, 24, 6), 2.0)),
    (
        "DICOM, two series",
        lambda root: dicom(root, second=True),
        "error: ROOT/case holds 2 DICOM series: 1.2.3 (T2, 6 slices); 1.2.4 (ADC, 6 slices); "
        "say which by data.series=ID_OR_DESCRIPTION",
    ),
    (
        "DICOM, a series by description",
        lambda root: dicom(root, second=True, series="ADC"),
        ((32, 24, 6), 2.0),
    ),
    (
        "DICOM, a series by id",
        lambda root: dicom(root, second=True, series="1.2.3"),
        ((32, 24, 6), 2.0),
    ),
    (
        "DICOM, no such series",
        lambda root: dicom(root, second=True, series="T1"),
        "error: ROOT/case holds 2 DICOM series, 0 of them 'T1': 1.2.3 (T2, 6 slices); "
        "1.2.4 (ADC, 6 slices); say which by data.series=ID_OR_DESCRIPTION",
    ),
    (
        "DICOM, a slice cut short",
        lambda root: dicom(root, spoil=2),
        "error: ROOT/case/1.2.3_2.dcm is of no DICOM series, it is damaged or cut short; "
        "copy or download it again, or remove it",
    ),
    (
        "DICOM, the last slice cut short",
        lambda root: dicom(root, spoil=5),
        "error: ROOT/case/1.2.3_5.dcm is of no DICOM series, it is damaged or cut short; "
        "copy or download it again, or remove it",
    ),
    (
        "DICOM, a slice is missing",
        lambda root: dicom(root, places=(0, 2, 6, 8, 10)),
        "error: ROOT/case lacks slices between 2 and 6 mm; copy or download the series again",
    ),
    (
        "DICOM, two volumes in one series",
        lambda root: dicom(root, places=(0, 2, 4, 0, 2, 4)),
        "error: ROOT/case has several slices at 0 mm: it mixes volumes; leave one in the folder",
    ),
    (
        "folder without slices",
        lambda root: read_volume(root),
        "error: ROOT holds no DICOM series; give the folder of its slices",
    ),
]


@pytest.mark.parametrize(("name", "maker", "expected"), VOLUMES)
def test_a_file_gives_its_value_or_the_line_that_says_what_is_wrong(
    name, maker, expected, tmp_path
):
    assert outcome(maker, tmp_path) == expected
