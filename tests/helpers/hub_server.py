"""A small server that speaks the Hub's protocol to the real client, so that tests need no network and no mock.

It holds repositories with branches and commits in memory, takes uploads through LFS (or hands out a folder for xet),
checks every SHA-256, tokens and parent commits, and answers downloads with ranges.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.helpers.hub_faults import Fault
from tests.helpers.hub_reading import Reading
from tests.helpers.hub_storage import Blob, HangUpError, HubError, Repo

TOKEN = "hf_thisTokenOfTheTestsMustNeverBePublished"
USER = "somebody"
_ID = r"(?P<id>[^/]+/[^/]+)"
_API = rf"/api/(?P<kind>models|datasets|spaces)/{_ID}"


class Hub:
    """The server and what it holds; ``with Hub() as hub`` runs it in threads."""

    def __init__(self, cas: str | None = None) -> None:
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.cas = cas
        self.xet_hashes: dict[str, str] = {}
        self.requests: list[str] = []
        self.before_commit: dict[str, Callable[[Repo], object]] = {}
        self.faults: list[Fault] = []
        self.token: str | None = TOKEN
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Hub":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def content(self, repo_id: str, path: str, revision: str = "main") -> bytes:
        blob = self.repos[repo_id].files(revision)[path]
        return self.objects[blob.lfs] if blob.lfs else blob.content

    def repo(self, repo_id: str, token: str | None) -> Repo:
        repo = self.repos.get(repo_id)
        if repo is None or (repo.private and token != self.token):
            raise HubError(404, "Repository not found", "RepoNotFound")
        return repo


class _Handler(Reading, BaseHTTPRequestHandler):
    hub: Hub
    is_lost = False
    disable_nagle_algorithm = True  # else every answer in two parts waits 40 ms for the other side
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests clean; `Hub.requests` has the log."""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def _answer(self) -> None:
        url = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = self._chunks()
        try:
            with self.hub.lock:
                part = self.headers.get("Range")
                self.hub.requests.append(f"{self.command} {url.path}" + (f" {part}" if part else ""))
                fault = self._fault(url.path)
                self._authorise(url.path)
                self._route(url.path)
                if fault:
                    raise HangUpError
        except HangUpError:
            self.close_connection = True
        except HubError as error:
            self.is_lost = False
            extra = {"X-Error-Code": error.code, "X-Error-Message": str(error)} if error.code else {}
            self._json({"error": str(error), "url": error.url}, error.status, **extra | error.headers)

    def _fault(self, path: str) -> Fault | None:
        """Fail as the next fault that fits says; one that is about the answer alone is returned."""
        names_in_body = path in ("/api/repos/create", "/api/validate-yaml")
        asked = f"{self.command} {path}" + (f" {self.body.decode()}" if names_in_body else "")
        for fault in self.hub.faults:
            if fault.fits(asked):
                fault.happen(self.hub)
                self.is_lost = fault.answer_is_lost
                return fault if fault.answer_is_lost else None
        return None

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _authorise(self, path: str) -> None:
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        writes = self.command in ("POST", "PUT") and not path.startswith(("/lfs/", "/api/validate-yaml"))
        reads_by_post = "/paths-info/" in path
        if self.token not in (None, self.hub.token) or (writes and not reads_by_post and self.token is None):
            raise HubError(401, "Invalid username or password.")

    def _route(self, path: str) -> None:
        for pattern, method in _ROUTES:
            match = pattern.fullmatch(path)
            if match:
                found = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                found.pop("kind", None)
                getattr(self, method)(**found)
                return
        raise HubError(404, f"no such page: {path}", "EntryNotFound")

    def _json(self, data: object, status: int = 200, **headers: str) -> None:
        headers = {"Content-Type": "application/json", **headers}
        content = json.dumps(data) if headers["Content-Type"] == "application/json" else "<html>no JSON</html>"
        self._send(content.encode(), status, headers)

    def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        if self.is_lost:
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def whoami(self) -> None:
        if self.token is None:
            raise HubError(401, "Invalid username or password.")
        self._json({"type": "user", "name": USER, "orgs": [], "auth": {"type": "access_token"}})

    def validate(self) -> None:
        header = json.loads(self.body)["content"].split("---\n")[1]
        valid = isinstance(yaml.safe_load(header), dict)
        self._json({"errors": [] if valid else [{"message": "not a mapping"}], "warnings": []})

    def create(self) -> None:
        asked = json.loads(self.body)
        repo_id = f"{asked.get('organization') or USER}/{asked['name']}"
        where = f"{self.hub.endpoint}/datasets/{repo_id}"
        if repo_id in self.hub.repos:
            raise HubError(409, "You already created this dataset repo", url=where)
        self.hub.repos[repo_id] = repo = Repo(
            private=asked.get("visibility") == "private" or asked.get("private") is True
        )
        repo.commit("main", {".gitattributes": Blob(0)}, "initial commit")
        self._json({"url": where, "name": repo_id})

    def branch(self, id: str, rev: str) -> None:
        repo = self.hub.repo(id, self.token)
        if rev in repo.branches:
            raise HubError(409, "Reference already exists")
        repo.branches[rev] = repo.branches["main"]
        self._json({})

    def preupload(self, id: str, rev: str) -> None:
        present = self._files(self.hub.repo(id, self.token), rev)
        answers = []
        for file in json.loads(self.body)["files"]:
            mode = "lfs" if file["path"].endswith(".parquet") else "regular"
            oid = present[file["path"]].oid if file["path"] in present else None
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._json({"files": answers})

    def batch(self, id: str) -> None:
        self.hub.repo(id, self.token)
        objects = json.loads(self.body)["objects"]
        for item in objects:
            if item["oid"] not in self.hub.objects:
                where = f"{self.hub.endpoint}/lfs/{id}/{item['oid']}"
                item["actions"] = {"upload": {"href": where}, "verify": {"href": f"{where}/verify"}}
        self._json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise HubError(400, "the content does not have this SHA-256")
        self.hub.objects[oid] = self.body
        self._json({})

    def verify(self, oid: str) -> None:
        asked = json.loads(self.body)
        if asked != {"oid": oid, "size": len(self.hub.objects.get(oid, b""))}:
            raise HubError(422, "the object is not there")
        self._json({})

    def xet_token(self, **_: str) -> None:
        if self.hub.cas is None:
            raise HubError(404, "no xet here", "EntryNotFound")
        where, token, expires = f"local://{self.hub.cas}", "x", 4102444800
        headers = {"X-Xet-Cas-Url": where, "X-Xet-Access-Token": token, "X-Xet-Token-Expiration": str(expires)}
        self._json({"casUrl": where, "accessToken": token, "exp": expires}, **headers)

    def commit(self, id: str, rev: str) -> None:
        repo = self.hub.repo(id, self.token)
        header, *lines = [json.loads(line) for line in self.body.splitlines()]
        self.hub.before_commit.pop(id, lambda _: None)(repo)
        files = dict(self._files(repo, rev))
        if header["value"].get("parentCommit", repo.branches[rev]) != repo.branches[rev]:
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        for line in lines:
            self._apply(files, line["key"], line["value"])
        pr = f"refs/pr/{len(repo.branches)}" if self.query.get("create_pr") else None
        oid = repo.commit(pr or rev, files, header["value"]["summary"])
        where = f"{self.hub.endpoint}/datasets/{id}"
        link = {"pullRequestUrl": f"{where}/discussions/{pr.rpartition('/')[2]}"} if pr else {}
        self._json({"success": True, "commitOid": oid, "commitUrl": f"{where}/commit/{oid}", **link})

    def _apply(self, files: dict[str, Blob], key: str, value: dict[str, str]) -> None:
        if key == "file":
            content = base64.b64decode(value["content"])
            files[value["path"]] = Blob(len(content), content)
        elif key == "lfsFile":
            if self.hub.cas is None and value["oid"] not in self.hub.objects:
                raise HubError(400, f"{value['path']} was not uploaded")
            files[value["path"]] = Blob(int(value["size"]), lfs=value["oid"])
        elif key == "deletedFile":
            del files[value["path"]]
        else:
            raise HubError(400, f"unknown operation {key}")


_ROUTES = [
    (re.compile(pattern), method)
    for pattern, method in (
        ("/api/whoami-v2", "whoami"),
        ("/api/validate-yaml", "validate"),
        ("/api/repos/create", "create"),
        (_API, "info"),
        (rf"{_API}/revision/(?P<rev>[^/]+)", "info"),
        (rf"{_API}/refs", "refs"),
        (rf"{_API}/branch/(?P<rev>[^/]+)", "branch"),
        (rf"{_API}/preupload/(?P<rev>[^/]+)", "preupload"),
        (rf"{_API}/commit/(?P<rev>[^/]+)", "commit"),
        (rf"{_API}/tree/(?P<rev>[^/]+)(?:/(?P<folder>.+))?", "tree"),
        (rf"{_API}/paths-info/(?P<rev>[^/]+)", "paths_info"),
        (rf"{_API}/xet-(?:read|write)-token/(?P<rev>[^/]+)", "xet_token"),
        (rf"(?:/datasets|/spaces)?/{_ID}\.git/info/lfs/objects/batch", "batch"),
        (r"/lfs/[^/]+/[^/]+/(?P<oid>[0-9a-f]{64})", "upload"),
        (r"/lfs/[^/]+/[^/]+/(?P<oid>[0-9a-f]{64})/verify", "verify"),
        (rf"(?:/datasets|/spaces)?/{_ID}/resolve/(?P<rev>[^/]+)/(?P<file>.+)", "resolve"),
    )
]
