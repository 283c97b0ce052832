"""Protocol of a run of a stream: items, orders, rounds, and when the first weights return.

It is the node `protocol` of a config. Data modules take it; methods and callbacks read it there.
"""

from typing import Any

from interseg.errors import InputError

KINDS = {
    "offline": "one training in epochs: a pretraining, or volumes that are labelled wholly",
    "static": "each held-out volume is learned by itself, from the first weights",
    "stream": "volume after volume, each permutation from the first weights",
    "sequence": "task after task, each sequence from what was pretrained",
}
TAKES = {
    "offline": ("labels", "first"),
    "static": ("sequences", "sequence", "rounds", "labels", "volumes"),
    "stream": ("sequences", "sequence", "rounds", "labels", "volumes"),
    "sequence": ("sequences", "sequence", "rounds"),
}
"""Arguments that a kind has a use for."""
ROUNDS = {"offline": 1, "static": 6, "stream": 6, "sequence": 2}
"""Most rounds of a task or volume; the papers'."""
SEQUENCES = {"static": 5, "stream": 5, "sequence": 20}


class StreamProtocol:
    """Settings of a run's stream; those that are left out follow from its kind.

    Args:
        kind: "offline", "static", "stream" or "sequence", see `KINDS`.
        sequences: Number of sequences of tasks or permutations of volumes, each drawn by (seed,
            number) and an epoch; an offline training has the Trainer's epochs instead.
        sequence: Number of the one to play (array jobs); null for all.
        rounds: Most rounds of a task or volume.
        labels: "user" who annotates, or "whole" truth in one round; offline always the latter.
        volumes: Volumes that are played: "held_out" ones, static always, or the "rest".
        first: Permutation and count of the volumes of an offline training: the first `count` of
            this permutation alone, in orders of their own (Algorithm 6, Table 2). The stream's
            other volumes stay unseen, but the mean and standard deviation are the whole stream's.

    Raises:
        InputError: arguments that contradict one another.
    """

    def __init__(
        self,
        kind: str = "stream",
        sequences: int | None = None,
        sequence: int | None = None,
        rounds: int | None = None,
        labels: str | None = None,
        volumes: str | None = None,
        first: tuple[int, int] | None = None,
    ) -> None:
        if kind not in KINDS:
            raise InputError(f"protocol.kind is {kind!r}; use {', '.join(KINDS)}")
        optional: dict[str, Any] = {"sequences": sequences, "sequence": sequence, "rounds": rounds}
        optional |= {"labels": labels, "volumes": volumes, "first": first}
        given = {key: value for key, value in optional.items() if value is not None}
        whole = labels == "whole" or kind == "offline"
        check_values(given)
        self.kind, self.labels = kind, "whole" if whole else "user"
        self.sequences, self.sequence = sequences or SEQUENCES.get(kind), sequence
        self.rounds = rounds or (1 if whole else ROUNDS[kind])
        self.volumes = volumes or ("held_out" if kind == "static" else "rest")
        self.first = None if first is None else (first[0], first[1])
        contradicting = [key for key in given if key not in TAKES[kind]]
        contradicting += ["labels"] if kind == "offline" and labels == "user" else []
        contradicting += ["volumes"] if kind == "static" and volumes == "rest" else []
        contradicting += ["rounds"] if whole and rounds not in (None, 1) else []
        if contradicting:
            contradiction = ", ".join(f"{key}={given[key]}" for key in dict.fromkeys(contradicting))
            settings = f"kind={kind}" + (", labels=whole" if labels == "whole" else "")
            raise InputError(
                f"protocol: {settings} contradicts {contradiction} ({KINDS[kind]}); leave it out"
            )
        if sequence is not None and not 0 <= sequence < (self.sequences or 0):
            count = f"there are {self.sequences}, numbered from 0"
            raise InputError(f"protocol.sequence is {sequence}; {count}")

    def epochs(self, given: int | None = None) -> int:
        """Return the number of a run's epochs: all that the protocol plays, or as given.

        Raises:
            InputError: more than the protocol plays, or an offline training without a number.
        """
        played = 1 if self.sequence is not None else self.sequences
        if given is None and played is None:
            raise InputError("an offline run has no number of epochs; give trainer.max_epochs")
        if given is not None and played is not None and given > played:
            each = f"the protocol plays {played}, a sequence or permutation each"
            raise InputError(
                f"trainer.max_epochs is {given}, and {each}; leave it out or raise "
                "protocol.sequences"
            )
        return (played or 0) if given is None else given

    def number(self, epoch: int) -> int:
        """Return the number of the sequence that an epoch plays."""
        if self.sequence is not None:
            return self.sequence
        return epoch if self.sequences is None else epoch % self.sequences

    def check_kind(self, *kinds: str) -> None:
        """Raise `InputError` for a protocol of another kind than the data have."""
        if self.kind not in kinds:
            raise InputError(
                f"protocol.kind is {self.kind!r}; these data take {' or '.join(kinds)}"
            )


def check_values(given: dict[str, Any]) -> None:
    """Raise `InputError` for an argument that has no such value, whatever the kind."""
    for key in ("sequences", "rounds"):
        if given.get(key, 1) < 1:
            raise InputError(f"protocol.{key} is {given[key]}; give 1 or more")
    for key, known in (("labels", ("user", "whole")), ("volumes", ("rest", "held_out"))):
        if key in given and given[key] not in known:
            raise InputError(f"protocol.{key} is {given[key]!r}; use {' or '.join(known)}")
    permutation, count = given.get("first", (0, 1))
    if permutation < 0 or count < 1:
        how = "give a permutation's number, from 0, and a count of its volumes"
        raise InputError(f"protocol.first is {list(given['first'])}; {how}")
