"""Which files a run's config names, so that other content is another run."""

from hashlib import sha256

from interseg.checkpoints import named_digests


def test_all_files_of_a_model_count_and_no_others(tmp_path):
    """A folder of transformers and the weights beside an ONNX file, but no folder of data."""
    files = ["model/config.json", "model/parts/weights.bin", "a.onnx", "a.onnx.data", "data/1.jpg"]
    for number, name in enumerate(files):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(str(number))
    config = {
        "name": str(tmp_path / "a.onnx"),
        "model": {"predictor": {"model": str(tmp_path / "model"), "words": ["", "hub/name"]}},
        "data": {"root": str(tmp_path / "data")},
    }
    found = named_digests(config)
    assert found == {
        str(tmp_path / name): sha256(str(number).encode()).hexdigest()
        for number, name in enumerate(files[:2])
    }
    config["model"]["predictor"] = {"encoder": str(tmp_path / "a.onnx"), "device": "cpu"}
    assert sorted(named_digests(config)) == [str(tmp_path / name) for name in files[2:4]]
