"""Simulated users: the field's rules (`rules`), and less careful people (the other files)."""

from interseg.clicks.users.base import User
from interseg.clicks.users.border import BorderUser
from interseg.clicks.users.extreme import ExtremeUser, ForesightUser
from interseg.clicks.users.jitter import JitterUser
from interseg.clicks.users.mistaken import MistakenUser
from interseg.clicks.users.rules import (
    BrsUser,
    ClusterUser,
    DeepUser,
    ItisUser,
    RandomUser,
    RitmUser,
)
from interseg.clicks.users.sampled import SampledUser
from interseg.clicks.users.unhelpful import NeedlessUser, NegativeFirstUser, RepeatingUser

__all__ = [
    "BorderUser",
    "BrsUser",
    "ClusterUser",
    "DeepUser",
    "ExtremeUser",
    "ForesightUser",
    "ItisUser",
    "JitterUser",
    "MistakenUser",
    "NeedlessUser",
    "NegativeFirstUser",
    "RandomUser",
    "RepeatingUser",
    "RitmUser",
    "SampledUser",
    "User",
]
