"""The top level's `loading`, `protocol` and `seed` for a data module that does not name its own."""

from collections.abc import Sequence
from typing import Any

from configs.arguments import hints_of, parameters
from configs.targets import find, is_ours


def wire(config: dict[str, Any], trusted: Sequence[str] = ()) -> dict[str, Any]:
    """Fill a data node's missing arguments with references to the top level.

    So `loading.*`, `protocol` and `seed` are always used.

    Args:
        config: Merged, interpolations kept; it is not changed.
        trusted: Packages beside ours whose classes may be named.
    """
    data = config.get("data")
    if not isinstance(data, dict) or "_target_" not in data:
        return config
    target = find(data["_target_"], trusted)
    taken = set(hints_of(target)) | (parameters(data["_target_"], trusted) or set())
    given = {"loading": "${loading}", "seed": "${seed}"}
    if config.get("protocol") is not None:
        given["protocol"] = "${protocol}"
    missing = {key: value for key, value in given.items() if key in taken and key not in data}
    return config | {"data": with_split_draws(data | missing, 0, "names")}


def with_split_draws(node: Any, seed: int, by: str) -> Any:
    """Write the seed of each split, and what it is drawn by, into a data node that names none.

    Configs of earlier versions lack them: their splits were drawn by the run's seed, and by the
    images' numbers.
    """
    if not isinstance(node, dict):
        return node
    given = {key: with_split_draws(value, seed, by) for key, value in node.items()}
    if node.get("split") and is_ours(node):
        given = {"split_seed": seed, "split_by": by} | given
    return given
