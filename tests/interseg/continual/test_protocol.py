"""Protocols of streams: what follows from their kinds, and contradictions."""

import pytest

from configs import load, resolve
from interseg.continual.protocol import KINDS, StreamProtocol
from interseg.errors import InputError


@pytest.mark.parametrize(
    ("given", "rounds", "labels", "volumes", "epochs"),
    [
        ({"kind": "static"}, 6, "user", "held_out", 5),
        ({"kind": "stream"}, 6, "user", "rest", 5),
        ({"kind": "stream", "labels": "whole"}, 1, "whole", "rest", 5),
        ({"kind": "stream", "volumes": "held_out", "rounds": 30}, 30, "user", "held_out", 5),
        ({"kind": "sequence"}, 2, "user", "rest", 20),
        ({"kind": "sequence", "sequences": 4, "sequence": 3}, 2, "user", "rest", 1),
    ],
)
def test_what_is_left_out_follows_from_the_kind(given, rounds, labels, volumes, epochs):
    protocol = StreamProtocol(**given)
    assert (protocol.rounds, protocol.labels, protocol.volumes) == (rounds, labels, volumes)
    assert protocol.epochs() == epochs


def test_epochs_play_the_sequences_in_turn_and_those_of_offline_training_are_the_trainers():
    assert [StreamProtocol("stream", 3).number(epoch) for epoch in range(5)] == [0, 1, 2, 0, 1]
    assert [StreamProtocol("stream", 3, 2).number(epoch) for epoch in range(2)] == [2, 2]
    offline = StreamProtocol("offline")
    assert (offline.rounds, offline.labels) == (1, "whole")
    assert [offline.number(epoch) for epoch in range(3)] == [0, 1, 2]
    assert offline.epochs(7) == 7
    assert StreamProtocol("stream", 3).epochs(2) == 2


def test_the_volumes_that_are_learned_first_are_kept():
    assert StreamProtocol("offline", first=(1, 2)).first == (1, 2)
    assert StreamProtocol("offline").first is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "once"}, "kind is 'once'; use offline, static, stream, sequence"),
        ({"kind": "offline", "sequences": 3}, "kind=offline contradicts sequences=3"),
        ({"kind": "offline", "rounds": 6, "labels": "user"}, "contradicts rounds=6, labels=user"),
        ({"kind": "static", "volumes": "rest"}, "kind=static contradicts volumes=rest"),
        ({"kind": "stream", "first": (0, 2)}, "kind=stream contradicts first="),
        ({"kind": "sequence", "labels": "whole"}, "contradicts labels=whole"),
        ({"labels": "whole", "rounds": 6}, "kind=stream, labels=whole contradicts rounds=6"),
        ({"sequence": 5}, "sequence is 5; there are 5, numbered from 0"),
        ({"rounds": 0}, "rounds is 0; give 1 or more"),
        ({"volumes": "all"}, "volumes is 'all'; use rest or held_out"),
        ({"kind": "offline", "first": (-1, 2)}, "first is .-1, 2.; give a permutation"),
    ],
)
def test_a_contradiction_is_one_error(given, message):
    with pytest.raises(InputError, match=message):
        StreamProtocol(**given)


def test_the_epochs_of_a_run_follow():
    def epochs(*words, files=("dynamic3d.yaml",)):
        return resolve(load(files, words))["trainer"]["max_epochs"]

    assert epochs() == epochs("protocol.kind=static") == 5
    assert epochs("protocol.sequence=3") == 1
    assert epochs("trainer.max_epochs=2") == 2
    assert epochs(files=("dynamic3d.yaml", "dynamic3d/offline.yaml")) == 100
    assert epochs(files=("clis.yaml", "clis/tasks.yaml")) == 20
    with pytest.raises(InputError, match="max_epochs is 9, and the protocol plays 5"):
        epochs("trainer.max_epochs=9")
    with pytest.raises(InputError, match=r"user is null, .*; protocol\.labels=whole labels"):
        epochs("callbacks.loop.user=null")
    assert epochs("callbacks.loop.user=null", "protocol.labels=whole") == 5
    with pytest.raises(InputError, match="no number of epochs; give"):
        epochs("protocol.kind=offline", "protocol.sequences=null")


def test_keys_of_before_are_named_with_their_new_place():
    with pytest.raises(InputError, match=r"model\.start_anew is .* earlier version; give proto"):
        resolve(load(["dynamic3d.yaml"], ["model.start_anew=volume"]))
    with pytest.raises(InputError, match=r"data\.holdout is .* earlier version; give data\.pretr"):
        resolve(load(["clis.yaml"], ["data.holdout=3"]))
    assert set(KINDS) == {"offline", "static", "stream", "sequence"}
