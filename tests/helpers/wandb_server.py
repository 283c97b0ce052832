"""Weights & Biases over HTTP on this machine, as far as runs and sweeps ask.

Its own server is not to be had as a package.

It takes a sweep from `wandb sweep`, gives agents the grid's runs one by one, and keeps what runs
send.
"""

import contextlib
import json
import re
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

from sweep import combinations

PROJECT = {"id": "1", "name": "interseg", "entity": {"id": "1", "name": "someone"}}


class Handler(BaseHTTPRequestHandler):
    """One request: GraphQL, or lines of a run's files."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/graphql":
            sent = json.loads(body)
            found = re.match(r"\s*(?:query|mutation)\s+(\w+)", sent["query"])
            answer = getattr(self, found[1], None) if found else None
            if answer is None:
                self.reply({"errors": [{"message": f"unknown: {sent['query'][:200]}"}]})
            else:
                with self.server.lock:
                    self.reply({"data": answer(sent.get("variables") or {})})
        else:
            if self.path.endswith("/file_stream"):
                self.take(self.path.split("/")[-2], json.loads(body).get("files", {}))
            self.reply({})

    def reply(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def take(self, run, files):
        """Keep what a run logged."""
        self.server.history[run] += map(
            json.loads, files.get("wandb-history.jsonl", {}).get("content", [])
        )

    def Viewer(self, _):
        return {
            "viewer": {
                "id": "1",
                "entity": "someone",
                "username": "someone",
                "flags": "{}",
                "teams": {"edges": []},
            }
        }

    def RunResumeStatus(self, given):
        bucket, lines = None, self.server.history.get(given["name"], [])
        if given["name"] in self.server.buckets:
            bucket = {
                **{
                    "name": given["name"],
                    "displayName": given["name"],
                    "config": "{}",
                    "summaryMetrics": "{}",
                    "wandbConfig": '{"t": {}}',
                },
                **{
                    "logLineCount": 0,
                    "eventsLineCount": 0,
                    "historyLineCount": len(lines),
                    "eventsTail": "[]",
                    "tags": [],
                },
                "historyTail": json.dumps([json.dumps(line) for line in lines[-1:]]),
            }
        return {"model": PROJECT | {"bucket": bucket}}

    def UpsertBucket(self, given):
        name = given.get("name") or given["id"]
        bucket = {
            "id": name,
            "name": name,
            "displayName": name,
            "config": "{}",
            "project": PROJECT,
            "sweepName": given.get("sweep"),
        }
        self.server.buckets[name] = given
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def UpsertSweep(self, given):
        self.server.sweep = yaml.safe_load(given["config"])
        self.server.waiting = list(enumerate(combinations(self.server.sweep)))
        return {
            "upsertSweep": {
                "sweep": {"name": "tried", "project": PROJECT},
                "configValidationWarnings": [],
            }
        }

    def SweepWithRuns(self, _):
        return {
            "project": {
                "sweep": {
                    "id": "1",
                    "name": "tried",
                    "config": yaml.dump(self.server.sweep),
                    "runs": {"edges": []},
                }
            }
        }

    def CreateAgent(self, _):
        self.server.agents += 1
        return {"createAgent": {"agent": {"id": str(self.server.agents)}}}

    def Heartbeat(self, given):
        commands = []
        if not json.loads(given["runState"]):
            if self.server.waiting:
                number, values = self.server.waiting.pop(0)
                args = {key: {"value": value} for key, value in values.items()}
                commands = [
                    {
                        "type": "run",
                        "run_id": f"swept{number}",
                        "program": self.server.sweep["program"],
                        "args": args,
                    }
                ]
            else:
                commands = [{"type": "exit"}]
        return {"agentHeartbeat": {"agent": {"id": given["id"]}, "commands": json.dumps(commands)}}


@contextlib.contextmanager
def serving(handler=Handler):
    """A server and its address; it has `buckets` and `history` by a run's id."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.lock, server.buckets, server.history, server.agents = (
            threading.Lock(),
            {},
            defaultdict(list),
            0,
        )
        looks = {"poll_interval": 0.02}  # whether it is to end
        threading.Thread(target=server.serve_forever, kwargs=looks, daemon=True).start()
        try:
            yield server, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
