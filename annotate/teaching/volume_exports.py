"""Exports of lessons on volumes: NIfTI masks on the grids of the volumes' own files."""

import os
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from annotate.teaching.course import Item
from annotate.teaching.slices import VolumeLecture
from annotate.teaching.volumes import VolumeLessons
from datamodules.scans import restore_mask
from datamodules.volume_files import stem
from interseg.errors import InputError


def export(lessons: VolumeLessons) -> list[str]:
    """Write `answers/` and `proxies/` of the volumes so far; gives lines on what is missing."""
    with lessons.bell:
        met = [item for item in lessons.order if item.rounds.met is not None]
        missing = [item for item in lessons.order if not item.rounds.finished]
    notes = []
    if missing:
        notes.append(f"{len(missing)} volume{'s are' if len(missing) > 1 else ' is'} not done")
    for item in met:
        try:
            with lessons.bell:  # given back after each volume, for the page and whoever learns
                answer, proxy = lessons.answer(item), lessons.proxy(item)[0]
            save(lessons, "answers", item, answer)
            save(lessons, "proxies", item, proxy)
        except InputError as error:
            notes.append(str(error))
    return notes


def save(
    lessons: VolumeLessons, folder: str, item: Item[VolumeLecture], mask: NDArray[np.bool_]
) -> None:
    """Write a mask (D, H, W) to `FOLDER/STEM.nii.gz`, with the geometry of the volume's file."""
    target: Path = lessons.out / folder / f"{stem(item.path)}.nii.gz"
    target.parent.mkdir(exist_ok=True)
    image = restore_mask(
        mask.astype(np.float32), lessons.scans.scan(item.task), item.path, lessons.scans.preparation
    )
    part = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        SimpleITK.WriteImage(image, str(part))
        part.replace(target)
    except RuntimeError:
        raise InputError(f"{target} cannot be written; make room, or give another --out") from None
    finally:
        part.unlink(missing_ok=True)
