"""Seeded miniatures of data sets: every test draws its own images, in the real layouts."""

import gc
import json
import os
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.helpers.drawing import draw, draw_sizes, write
from tests.helpers.forking import Forks

os.environ.pop("WANDB_API_KEY", None)
os.environ["NETRC"] = os.devnull  # nobody is logged in to Weights & Biases
os.environ["CUDA_VISIBLE_DEVICES"] = ""
# forked ranks would wait for the parent's OpenMP pool for ever
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def mode_of_one_test():
    """A run that is kept offline has Lightning set this for the whole process."""
    os.environ.pop("WANDB_MODE", None)


@pytest.fixture(scope="session")
def forks():
    """Run commands as processes of their own, without repeating their imports."""
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images with instance-id masks, 10 objects; the last image has another size."""
    return draw_sizes(tmp_path / "folder")


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Draw three images with two polygons each, the second one a keyhole ring, and one crowd."""
    images, annotations = [], []
    for i in range(3):
        image, _ = draw(i)
        write(tmp_path / "coco" / "images" / f"{i}.jpg", image)
        images.append({"id": i + 1, "file_name": f"{i}.jpg", "height": 72, "width": 96})
        square = [10, 10, 40, 10, 40, 40, 10, 40]
        ring = [50, 10, 90, 10, 90, 60, 50, 60, 50, 10, 60, 20, 60, 50, 80, 50, 80, 20, 60, 20]
        for polygon in (square, ring):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": i + 1,
                    "category_id": 1,
                    "iscrowd": 0,
                    "area": 900,
                    "segmentation": [polygon],
                }
            )
    annotations.append(
        {
            "id": 99,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 1,
            "area": 9,
            "segmentation": [[0, 0, 3, 0, 3, 3]],
        }
    )
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "thing"}],
    }
    (tmp_path / "coco" / "annotations.json").write_text(json.dumps(content))
    return tmp_path / "coco"


@pytest.fixture
def grabcut(tmp_path: Path) -> Path:
    """Four photos with trimaps, in the GrabCut layout."""
    for i in range(4):
        image, ids = draw(i, objects=1)
        trimap = np.where(ids > 0, 255, 0).astype(np.uint8)
        edge = cv2.morphologyEx(trimap, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        trimap[edge] = 128
        write(tmp_path / "grabcut" / "data_GT" / f"{i}.jpg", image)
        write(tmp_path / "grabcut" / "boundary_GT" / f"{i}.bmp", trimap)
    return tmp_path / "grabcut"


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on, for gloo."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def pytest_collection_finish():
    """Let the garbage collector leave what the imports made alone: a million objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def pytest_unconfigure():
    """Give it back, for libraries that count what they leak."""
    gc.unfreeze()
