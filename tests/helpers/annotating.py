"""A person with a browser, without the browser.

A small project, its server, and requests as the page makes them.
"""

import http.client
import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import torch
from torch import nn

from annotate.folders import key_of
from annotate.photos import Project
from annotate.state import decode
from interseg.inference.model import Model
from interseg.inference.predictor import InferenceOptions
from interseg.inference.refiners import BRSRefiner
from lightning_modules.converted import ConvertedNetwork
from lightning_modules.itis import ITIS
from tests.helpers.tiny_network import TinyNetwork

SIZE = (72, 96)
"""Height and width of drawn photos."""
CLICKS = [(30, 40, 1), (10, 80, 0), (50, 20, 1), (5, 5, 0)]
"""y, x and label."""


def tiny_model(seed=0):
    """A network from a random start whose answers depend on the clicks."""
    torch.manual_seed(seed)
    network = TinyNetwork(8)
    with torch.no_grad():
        network.last.bias.zero_()
    return Model(ITIS(network).eval(), torch.device("cpu"))


def model_of_classes():
    """A network of three classes from a random start, which a refiner brings to do what clicks
    say.
    """
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 3, 3, padding=1))
    options = InferenceOptions(BRSRefiner(iterations=20))
    return Model(ConvertedNetwork(network, inference=options).eval(), torch.device("cpu"))


def project_of(folder, out, **options):
    """A project on the photos of a drawn folder."""
    return Project(
        options.pop("model", None) or tiny_model(),
        options.pop("digest", "tiny"),
        folder / "images",
        out,
        **options,
    )


def raw(address, path="/api/project", method="GET", body=None, **headers):
    """A request with exactly these headers; gives status, headers and content."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    for key, value in ({"host": parts.netloc} | headers).items():
        if value is not None:
            connection.putheader(key.replace("_", "-"), value)
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


class Page:
    """A tab that has a photo open.

    Args:
        address: of the server.
        name: of the photo.
        tab: its own name.
    """

    def __init__(self, address, name="0.png", tab="one"):
        self.address, self.tab, self.key = address, tab, key_of(name)
        self.version = 0
        self.show()

    def show(self, **more):
        status, answer = ask(self.address, f"/api/photos/{self.key}", {"tab": self.tab, **more})
        assert status == 200, answer
        self.version = answer["version"]
        return answer

    def act(self, do, **more):
        """Ask for something that works; gives the object that it changed."""
        status, answer = self.try_(do, **more)
        assert status == 200, answer
        return answer["things"][0] if answer["things"] else answer

    def try_(self, do, **more):
        """Ask for something; gives status and answer."""
        given = {"tab": self.tab, "version": self.version, "do": do, **more}
        status, answer = ask(self.address, f"/api/photos/{self.key}/act", given)
        if status == 200:
            self.version = answer["version"]
        return status, answer


def ask(address, path, body=None, headers=None, raw=False):
    """A request: POST of JSON, or GET; gives status and the JSON that comes back, or the bytes."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    given = {"content-type": "application/json"} if data is not None else {}
    request = urllib.request.Request(address + path, data, given | (headers or {}))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            content, status = answer.read(), answer.status
    except urllib.error.HTTPError as error:
        content, status = error.read(), error.code
    return status, content if raw else json.loads(content)


def mask(thing):
    """Read an object's mask of an answer."""
    return decode(thing["runs"]["1"], SIZE)


def clicked(page, clicks, **first):
    """Click on one object; gives what the last answer says of it."""
    thing = page.act("click", y=clicks[0][0], x=clicks[0][1], label=clicks[0][2], **first)
    for y, x, label in clicks[1:]:
        thing = page.act("click", object=thing["number"], y=y, x=x, label=label)
    return thing


def played(folder, clicks, start=None):
    """Play the clicks by a session on the first photo."""
    session = tiny_model().session(folder / "images" / "0.png", start)
    for y, x, label in clicks:
        session.click(y, x, label)
    return session
