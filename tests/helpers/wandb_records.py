"""What a run has kept for Weights & Biases, read from its binary log."""

import json
import struct

from wandb.proto import wandb_internal_pb2


def scanned(content):
    """The records of a .wandb file.

    LevelDB's log format after 7 bytes of its own, blocks of 32 KiB, records in parts.
    """
    position, record = 7, b""
    while position + 7 <= len(content):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768  # padding at a block's end
        length, kind = struct.unpack("<HB", content[position + 4 : position + 7])
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def records(folder, run="offline-run-*"):
    """Keys and values that a run kept for Weights & Biases, and its config."""
    (file,) = folder.glob(f"wandb/{run}/*.wandb")
    found, config = {}, {}
    for content in scanned(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        for item in record.history.item:
            found[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        for item in record.run.config.update:
            config[item.key] = json.loads(item.value_json)
    return found, config
