"""A Hub on this machine: repositories in memory behind the few addresses that a client uses."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars

WRITE, READ = "hf_write", "hf_read"
"""Tokens that may write, or read alone."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.resolve(body=False)

    def do_GET(self):
        self.resolve(body=True)

    def resolve(self, body):
        self.server.requests.append(f"{self.command} {self.path}")
        if self.path.startswith("/api/models/"):
            return self.info(self.path.removeprefix("/api/models/"))
        repo, _, rest = unquote(self.path).strip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        if repo in self.server.gated:
            return self.answer(403, {}, code="GatedRepo")
        commits = self.server.repos.get(repo)
        if commits is None:
            return self.answer(404, {}, code="RepoNotFound")
        if revision not in ("main", *commits):
            return self.answer(404, {}, code="RevisionNotFound")
        commit = list(commits)[-1] if revision == "main" else revision
        if name not in commits[commit]:
            return self.answer(404, {}, code="EntryNotFound", commit=commit)
        return self.answer(200, commits[commit][name], commit=commit, body=body)

    def info(self, repo):
        if repo not in self.server.repos:
            return self.answer(404, {}, code="RepoNotFound")
        return self.answer(200, {"id": repo, "sha": list(self.server.repos[repo])[-1]})

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(f"POST {self.path}")
        if self.server.down:
            return self.answer(500, {})
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token != WRITE:
            return self.answer(403 if token == READ else 401, {})
        if self.path == "/api/repos/create":
            return self.create(json.loads(data))
        repo, _, action = (
            self.path.removeprefix("/api/models/").rpartition("/main")[0].rpartition("/")
        )
        return {"preupload": self.preupload, "commit": self.commit}[action](repo, data)

    def create(self, asked):
        repo = f"{asked['organization']}/{asked['name']}"
        page = {"url": f"{self.server.url}/{repo}"}
        if repo in self.server.repos:
            return self.answer(409, page)
        self.server.visibilities[repo] = asked.get("visibility")
        self.server.repos[repo] = {hashlib.sha1(b"").hexdigest(): {}}
        return self.answer(200, page)

    def preupload(self, _, data):
        files = [
            {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
            for file in json.loads(data)["files"]
        ]
        return self.answer(200, {"files": files})

    def commit(self, repo, data):
        lines = [json.loads(line) for line in data.splitlines()]
        added = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        commit = hashlib.sha1(data).hexdigest()
        commits = self.server.repos[repo]
        commits[commit] = {**list(commits.values())[-1], **added}
        page = f"{self.server.url}/{repo}/commit/{commit}"
        return self.answer(200, {"commitUrl": page, "commitOid": commit})

    def answer(self, status, content, *, code=None, commit=None, body=True):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        headers = {"X-Error-Code": code, "X-Repo-Commit": commit, "Content-Length": len(data)}
        headers["ETag"] = f'"{hashlib.sha1(data).hexdigest()}"'
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def hub_server(cache, monkeypatch, token=WRITE):
    """Serve an empty Hub to huggingface_hub, whose cache is ``cache``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.repos, server.visibilities, server.requests = {}, {}, []
    server.gated, server.down = set(), False
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_TOKEN", token)
    disable_progress_bars()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
