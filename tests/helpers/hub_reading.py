"""The half of the Hub's protocol that reads, for the server of the tests."""

import json
import re
from urllib.parse import parse_qs, urlsplit

from tests.helpers.hub_storage import Blob, HubError, Repo, tree_entry

PAGE = 3  # entries of a tree per answer, so that clients have to follow the links


class Reading:
    """What a handler answers to who reads; the handler has the request and sends the answers."""

    def info(self, id: str, rev: str = "main") -> None:
        repo = self.hub.repo(id, self.token)
        files = [{"rfilename": path} for path in sorted(self._files(repo, rev))]
        sha = repo.branches.get(rev, rev)
        self._json({"id": id, "sha": sha, "private": repo.private, "siblings": files, "tags": [], "disabled": False})

    def _files(self, repo: Repo, rev: str) -> dict[str, Blob]:
        try:
            return repo.files(rev)
        except KeyError:
            raise HubError(404, f"Invalid rev id: {rev}", "RevisionNotFound") from None

    def refs(self, id: str) -> None:
        names = self.hub.repo(id, self.token).branches.items()
        heads = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": oid} for n, oid in names if "/" not in n]
        requests = [{"name": n, "ref": n, "targetCommit": oid} for n, oid in names if n.startswith("refs/pr/")]
        asked = {"pullRequests": requests} if self.query.get("include_prs") else {}
        self._json({"branches": heads, "converts": [], "tags": [], **asked})

    def tree(self, id: str, rev: str, folder: str = "") -> None:
        files = self._files(self.hub.repo(id, self.token), rev)
        prefix = f"{folder}/" if folder else ""
        inside = {path: blob for path, blob in sorted(files.items()) if path.startswith(prefix)}
        if folder and not inside:
            raise HubError(404, f"{folder} does not exist", "EntryNotFound")
        entries = [tree_entry(path, blob) for path, blob in inside.items()]
        if self.query.get("recursive", "false").lower() != "true":
            entries = [entry for entry in entries if "/" not in entry["path"][len(prefix) :]]
            names = {path[len(prefix) :].split("/")[0] for path in inside if "/" in path[len(prefix) :]}
            entries += [{"type": "directory", "path": prefix + name, "oid": "0" * 40, "size": 0} for name in names]
        start = int(self.query.get("cursor", 0))
        rest = urlsplit(self.path).query.split("&cursor=")[0]
        following = f"{self.hub.endpoint}{urlsplit(self.path).path}?{rest}&cursor={start + PAGE}"
        more = {"Link": f'<{following}>; rel="next"'} if start + PAGE < len(entries) else {}
        self._json(entries[start : start + PAGE], **more)

    def paths_info(self, id: str, rev: str) -> None:
        files = self._files(self.hub.repo(id, self.token), rev)
        asked = json.loads(self.body)["paths"] if self.body.startswith(b"{") else parse_qs(self.body.decode())["paths"]
        self._json([tree_entry(path, files[path]) for path in asked if path in files])

    def resolve(self, id: str, rev: str, file: str) -> None:
        repo = self.hub.repo(id, self.token)
        files = self._files(repo, rev)
        headers = {"X-Repo-Commit": repo.branches.get(rev, rev)}
        if file not in files:
            raise HubError(404, f"{file} does not exist", "EntryNotFound")
        blob = files[file]
        headers |= {"ETag": f'"{blob.oid}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if blob.lfs:
            headers |= {"X-Linked-Etag": f'"{blob.oid}"', "X-Linked-Size": str(blob.size)}
        if blob.lfs in self.hub.xet_hashes:
            route = f"{self.hub.endpoint}/api/datasets/{id}/xet-read-token/{headers['X-Repo-Commit']}"
            headers |= {"X-Xet-Hash": self.hub.xet_hashes[blob.lfs], "Link": f'<{route}>; rel="xet-auth"'}
            if self.command == "HEAD":
                headers["Content-Length"] = str(blob.size)
                return self._send(b"", 200, headers)
        content = self.hub.objects[blob.lfs] if blob.lfs else blob.content
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if part:
            first, last = int(part[1]), min(int(part[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            return self._send(content[first : last + 1], 206, headers)
        return self._send(content, 200, headers)
