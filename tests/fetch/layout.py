"""What huggingface_hub makes of a small repository, and whether it finds what lowshot has fetched.

    python tests/fetch/layout.py > tests/fetch/layout.txt     # written by huggingface_hub 2.4.0
    python tests/fetch/layout.py CACHE                        # reads the cache of the test `fetched_by_both` (LOWSHOT_KEEP_CACHE)

The repository is served by this script, as the hub serves one; the same contents are in tests/fetch/cache.rs.
"""

import hashlib
import http.server
import json
import os
import sys
import tempfile
import threading
from pathlib import Path

REPOSITORY, COMMIT = "someone/pipeline", "89abcdef0123456789abcdef0123456789abcdef"
FILES = {
    "model_index.json": b"{}",
    "scheduler/scheduler_config.json": b"{}",
    "unet/config.json": b'{"a": 1}',
    "unet/diffusion_pytorch_model.safetensors": bytes(range(256)) * 16,
}


def entry(name):
    content = FILES[name]
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    found = {"type": "file", "path": name, "size": len(content), "oid": git}
    if len(content) >= 1000:
        found["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return found


class Hub(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.wfile.write(self.answer())

    def answer(self):
        path = self.path.split("?")[0]
        if path.startswith(f"/api/models/{REPOSITORY}/revision/"):
            body = {"id": REPOSITORY, "sha": COMMIT, "siblings": [{"rfilename": name} for name in FILES]}
        elif path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            body = [entry(name) for name in FILES]
        else:
            name = path.removeprefix(f"/{REPOSITORY}/resolve/").split("/", 1)[1]
            found = entry(name)
            etag = found.get("lfs", found)["oid"]
            self.send_response(200)
            self.send_header("ETag", f'"{etag}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(FILES[name])))
            self.end_headers()
            return FILES[name]
        body = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return body

    def log_message(self, *_):
        pass


def write():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
    from huggingface_hub import snapshot_download

    with tempfile.TemporaryDirectory() as cache:
        snapshot_download(REPOSITORY, cache_dir=cache)
        root = Path(cache) / "models--someone--pipeline"
        for path in sorted(path for path in root.rglob("*") if path.is_symlink() or path.is_file()):
            name = path.relative_to(root).as_posix()
            if not name.startswith("trees/"):  # a note of huggingface_hub to itself
                print(name, "->", os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest())


def read(cache):
    os.environ["HF_HUB_OFFLINE"] = "1"
    from huggingface_hub import scan_cache_dir, snapshot_download, try_to_load_from_cache

    folder = Path(snapshot_download(REPOSITORY, cache_dir=cache, local_files_only=True))
    for name, content in FILES.items():
        found = try_to_load_from_cache(REPOSITORY, name, cache_dir=cache)
        assert found == str(folder / name) and Path(found).read_bytes() == content, name
    report = scan_cache_dir(cache)
    assert not report.warnings, report.warnings
    (repository,) = report.repos
    (revision,) = repository.revisions
    assert (repository.repo_id, revision.commit_hash, revision.refs) == (REPOSITORY, COMMIT, {"main"})
    assert {file.file_name for file in revision.files} == {name.split("/")[-1] for name in FILES}
    print("huggingface_hub finds all of it")


if __name__ == "__main__":
    read(sys.argv[1]) if sys.argv[1:] else write()
