"""A hub on this machine: the parts of the Hugging Face hub's HTTP interface that pulling uses, with scripted faults.

Two servers run: the hub itself, and a content server of another origin that it redirects large files to, as the
real one does. Both note every request. Facts about the interface come from huggingface_hub's client, which the tests
also run against it.
"""
import dataclasses
import hashlib
import http.server
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse

LFS_FROM = 10_000  # bytes; larger files count as Git LFS


def git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_lfs(content):
    return len(content) >= LFS_FROM


def blob_name(content):
    """What the cache calls the content, and what the hub sends as its ETag."""
    return hashlib.sha256(content).hexdigest() if is_lfs(content) else git_sha1(content)


class Repo:
    """A repository: commits of {path: content}, and names for them."""

    def __init__(self, token=None, gated=False):
        self.token = token  # whoever has not this token sees nothing
        self.gated = gated  # whoever has not that token is told to ask for access
        self.commits = {}
        self.refs = {}
        self.tree_entries = []  # raw entries that every listing also shows

    def commit(self, files, *refs):
        """Adds a commit with these files, to which the names lead from now on; returns its hash."""
        files = {path: content.encode() if isinstance(content, str) else content for path, content in files.items()}
        commit = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[commit] = files
        self.refs.update(dict.fromkeys(refs or ["main"], commit))
        return commit

    def find(self, revision):
        return self.refs.get(revision, revision if revision in self.commits else None)

    def entry(self, path, content):
        entry = {"type": "file", "oid": git_sha1(content), "size": len(content), "path": path}
        if is_lfs(content):
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{blob_name(content)}\nsize {len(content)}\n"
            entry["oid"] = git_sha1(pointer.encode())
            entry["lfs"] = {"oid": blob_name(content), "size": len(content), "pointerSize": len(pointer)}
        return entry

    def tree(self, commit):
        files = self.commits[commit]
        folders = {path.rsplit("/", i)[0] for path in files for i in range(1, path.count("/") + 1)}
        entries = [{"type": "directory", "oid": git_sha1(folder.encode()), "size": 0, "path": folder}
                   for folder in sorted(folders)]
        return entries + [self.entry(path, content) for path, content in files.items()] + self.tree_entries


@dataclasses.dataclass
class Fault:
    """What goes wrong with the next `times` GET requests whose path matches `where`."""
    where: str
    times: int = 1
    status: int = 0            # answer this, with `headers`
    headers: dict = dataclasses.field(default_factory=dict)
    cut: int = -1              # close the connection after so many bytes of what was promised
    short: int = -1            # promise no length, and end after so many bytes
    stall: int = -1            # send so many bytes, then nothing more
    rate: int = 0              # bytes per second
    corrupt: bool = False      # change a byte
    surplus: int = 0           # promise no length, and send so many bytes too many
    ignore_range: bool = False
    wrong_range: bool = False  # send another part than was asked for, and say so


@dataclasses.dataclass
class Seen:
    server: str  # "hub" or "content"
    method: str
    path: str
    headers: dict

    @property
    def authorization(self):
        return self.headers.get("authorization")

    @property
    def range(self):
        return self.headers.get("range")


class FakeHub:
    """`with FakeHub() as hub:`; repositories go into hub.models and hub.datasets.

    With a `certificate` (a file with key and certificate) the hub itself speaks https.
    """

    PAGE = 50

    def __init__(self, certificate=None):
        self.models = {}
        self.datasets = {}
        self.faults = []
        self.seen = []
        self.page = self.PAGE
        self._lock = threading.Lock()
        self._servers = [_serve(self, "hub", certificate), _serve(self, "content")]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._servers[0].server_port}"
        self.content_url = f"http://localhost:{self._servers[1].server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def note(self, seen):
        with self._lock:
            self.seen.append(seen)

    def take_fault(self, path):
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.where, path):
                    fault.times -= 1
                    return fault
        return None

    def content_of(self, name):
        for repo in [*self.models.values(), *self.datasets.values()]:
            for files in repo.commits.values():
                for content in files.values():
                    if blob_name(content) == name:
                        return content
        return None

    def downloads(self):
        """The GET requests for contents: of small files at the hub, of large ones at the content server."""
        with self._lock:
            return [seen for seen in self.seen if seen.method == "GET" and
                    (seen.server == "content" or ("/resolve/" in seen.path))]

    def fetched(self, server="content"):
        return [seen for seen in self.downloads() if seen.server == server]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = None
    name = ""

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        self.body = body
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.hub.note(Seen(self.name, self.command, self.path, headers))
        self.fault = (self.hub.take_fault(self.path) if body else None) or Fault("")
        if self.fault.status:
            return self.say(self.fault.status, b"something is wrong", self.fault.headers)
        try:
            return self.serve_content() if self.name == "content" else self.serve_hub()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def say(self, status, content=b"", headers=None):
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.body:
            self.wfile.write(content)

    def say_json(self, value, headers=None):
        self.say(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def refuse(self, status, code, message):
        self.say(status, json.dumps({"error": message}).encode(), {"X-Error-Code": code, "X-Error-Message": message})

    # The hub.

    def serve_hub(self):
        url = urllib.parse.urlsplit(self.path)
        api = re.fullmatch(r"/api/(models|datasets)/(.+?)/(revision|tree)/([^/]+)", url.path)
        file = re.fullmatch(r"/(datasets/)?(.+?)/resolve/([^/]+)/(.+)", url.path)
        if not api and not file:
            return self.refuse(404, "", "Sorry, we can't find the page you are looking for.")
        is_dataset = api.group(1) == "datasets" if api else bool(file.group(1))
        repo_id = api.group(2) if api else file.group(2)
        repo = self.allowed_repo(is_dataset, repo_id)
        if repo is None:
            return None
        revision = urllib.parse.unquote(api.group(4) if api else file.group(3))
        commit = repo.find(revision)
        if commit is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if file:
            return self.serve_file(repo, commit, urllib.parse.unquote(file.group(4)))
        if api.group(3) == "revision":
            siblings = [{"rfilename": path} for path in repo.commits[commit]]
            return self.say_json({"id": repo_id, "sha": commit, "siblings": siblings, "private": False, "tags": []})
        return self.serve_tree(repo.tree(commit), url)

    def allowed_repo(self, is_dataset, repo_id):
        """None if the request was refused, as the hub refuses it."""
        repo = (self.hub.datasets if is_dataset else self.hub.models).get(repo_id)
        authorization = self.headers.get("Authorization", "")
        if authorization and not authorization.startswith("Bearer hf_"):
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        if repo is None or (repo.token and not repo.gated and authorization != f"Bearer {repo.token}"):
            # It does not tell those who may not know whether there is such a repository.
            if authorization:
                return self.refuse(404, "RepoNotFound", "Repository not found")
            return self.refuse(401, "RepoNotFound", "Invalid username or password.")
        if repo.gated and authorization != f"Bearer {repo.token}":
            return self.refuse(403 if authorization else 401, "GatedRepo",
                               f"Access to model {repo_id} is restricted.")
        return repo

    def serve_tree(self, entries, url):
        query = urllib.parse.parse_qs(url.query)
        start = int(query.get("cursor", ["0"])[0])
        end = start + self.hub.page
        headers = {}
        if end < len(entries):
            headers["Link"] = f'<{self.hub.url}{url.path}?recursive=true&cursor={end}>; rel="next"'
        self.say_json(entries[start:end], headers)

    def serve_file(self, repo, commit, path):
        content = repo.commits[commit].get(path)
        if content is None:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit}
        if not is_lfs(content):
            return self.send(content, {**headers, "ETag": f'"{blob_name(content)}"'})
        headers.update({"X-Linked-Etag": f'"{blob_name(content)}"', "X-Linked-Size": str(len(content)),
                        "Location": f"{self.hub.content_url}/{blob_name(content)}?Signature=secret"})
        return self.say(302, b"Found", headers)

    # The content server.

    def serve_content(self):
        url = urllib.parse.urlsplit(self.path)
        content = self.hub.content_of(url.path.lstrip("/"))
        if content is None or url.query != "Signature=secret":
            return self.say(403, b"<Error>AccessDenied</Error>")
        return self.send(content, {"ETag": '"of the content server"'})

    # Both.

    def send(self, content, headers):
        """The content or the part that was asked for, with the fault."""
        fault = self.fault
        first, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and not fault.ignore_range:
            first, status = int(asked.group(1)), 206
            if first >= len(content):
                return self.say(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            first = 0 if fault.wrong_range else first
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        part = content[first:]
        if fault.corrupt:
            part = bytes([part[0] ^ 1]) + part[1:]
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        unknown_length = fault.short >= 0 or fault.surplus > 0
        if unknown_length:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.body:
            self.write_body(part)
        if unknown_length:
            self.close_connection = True
        return None

    def write_body(self, part):
        fault = self.fault
        if fault.surplus:
            part += bytes(fault.surplus)
        limits = [limit for limit in (fault.cut, fault.short, fault.stall) if limit >= 0]
        part = part[:min(limits)] if limits else part
        step = max(1, fault.rate // 20) if fault.rate else max(1, len(part))
        for begin in range(0, len(part), step):
            self.wfile.write(part[begin:begin + step])
            self.wfile.flush()
            if fault.rate:
                time.sleep(0.05)
        if fault.stall >= 0:
            self.connection.settimeout(60)
            self.connection.recv(1)  # until the other side has had enough
        if fault.cut >= 0:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # connections that the other side gave up are what the tests are about


def _serve(hub, name, certificate=None):
    handler = type("Handler", (_Handler,), {"hub": hub, "name": name})
    server = _Server(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server
