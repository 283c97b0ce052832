"""Commands as processes of their own without their imports.

Forks of one process that has imported them and done nothing else.

What needs a real process (its memory, its ranks, what is written as it ends) is given one in a
hundredth of the time of `python NAME.py`.
"""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parent.parent.parent
SECONDS = 300
"""After these a command is ended by a signal."""


class Forks:
    """The process that is forked; it is started by the first command, and waited for by `close`."""

    def __init__(self):
        self.process = None

    def run(self, name, arguments, env, cwd=ROOT):
        """Run a script with arguments, in an environment; its code and what it printed."""
        if self.process is None:
            self.socket, theirs = socket.socketpair()
            with theirs:
                line = [sys.executable, "-m", "tests.helpers.forking", str(theirs.fileno())]
                self.process = subprocess.Popen(
                    line, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
                )
        pipes = [os.pipe() for _ in range(2)]
        given = {
            "name": str(ROOT / name),
            "arguments": list(map(str, arguments)),
            "env": dict(env),
            "cwd": str(cwd),
        }
        content = json.dumps(given).encode()
        socket.send_fds(
            self.socket, [len(content).to_bytes(4, "big")], [write for _, write in pipes]
        )
        self.socket.sendall(content)
        for _, write in pipes:
            os.close(write)
        with ThreadPoolExecutor(2) as pool:
            out, err = pool.map(read, [end for end, _ in pipes])
        return SimpleNamespace(returncode=int(self.socket.recv(16)), stdout=out, stderr=err)

    def close(self):
        """End the process, if there is one."""
        if self.process is not None:
            self.socket.close()
            self.process.wait()
            self.process = None


def read(descriptor):
    with open(descriptor) as pipe:
        return pipe.read()


def become(given, descriptors):
    """Turn a fork into what `python NAME.py` would be."""
    for number, descriptor in enumerate(descriptors, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.setsid()
    signal.alarm(SECONDS)
    os.environ.clear()
    os.environ.update(given["env"])
    os.chdir(given["cwd"])
    sys.argv = [given["name"], *given["arguments"]]
    runpy.run_path(sys.argv[0], run_name="__main__")


def serve(asked):
    """Fork for every command that is asked for, one at a time; returns in the forks alone."""
    from pytorch_lightning.loggers import WandbLogger

    import evaluate
    import train

    assert evaluate, train
    assert WandbLogger
    while True:
        head, descriptors, *_ = socket.recv_fds(asked, 4, 2)
        if not head:
            os._exit(0)
        content = b""
        while len(content) < int.from_bytes(head, "big"):
            content += asked.recv(65536)
        child = os.fork()
        if not child:
            asked.close()
            return json.loads(content), descriptors
        for descriptor in descriptors:
            os.close(descriptor)
        asked.sendall(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


if __name__ == "__main__":
    become(*serve(socket.socket(fileno=int(sys.argv[1]))))
