"""Fetching the published files, from a server of our own."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jbdiff.cli import app
from jbdiff.stacks import published
from jbdiff.stacks.fetch import FetchError, fetch
from jbdiff.stacks.published import PUBLISHED, PublishedFile
from jbdiff.stacks.v1_layout import v1_role

CONTENT = bytes(range(256)) * 5_000
FILE = PublishedFile("level2", "epoch=1 step=2.ckpt", hashlib.sha256(CONTENT).hexdigest())


@dataclass
class Server:
    ranges: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    content: bytes = CONTENT
    stop_after: int | None = None  # bytes of one answer before the connection breaks
    status: int | None = None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    facts = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            facts.ranges.append(asked)
            facts.paths.append(self.path)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            if facts.status is not None or start >= len(facts.content):
                self.send_error(facts.status or 416)
                return
            body = facts.content[start:]
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: facts.stop_after])

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(published, "FOLDER", f"http://127.0.0.1:{httpd.server_port}/v1/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield facts
    httpd.shutdown()
    httpd.server_close()
    thread.join(timeout=5)


def test_a_file_arrives_whole_and_is_not_fetched_twice(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(FILE, tmp_path / "new", lambda *at: seen.append(at))
    assert path.read_bytes() == CONTENT and seen[-1] == (len(CONTENT), len(CONTENT))
    assert server.paths == ["/v1/epoch%3D1%20step%3D2.ckpt"]
    assert fetch(FILE, tmp_path / "new") == path and len(server.paths) == 1
    assert [p.name for p in (tmp_path / "new").iterdir()] == [FILE.name]


def test_a_broken_download_goes_on(server: Server, tmp_path: Path) -> None:
    server.stop_after = 300_000
    with pytest.raises(FetchError, match=r"broke off at .*fetch again to go on"):
        fetch(FILE, tmp_path)
    have = (tmp_path / (FILE.name + ".part")).stat().st_size
    assert 0 < have <= 300_000
    server.stop_after = None
    assert fetch(FILE, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={have}-"]


def test_a_whole_part_only_needs_its_check(server: Server, tmp_path: Path) -> None:
    (tmp_path / (FILE.name + ".part")).write_bytes(CONTENT)
    assert fetch(FILE, tmp_path).read_bytes() == CONTENT


def test_a_damaged_download_is_removed(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(FetchError, match="arrived damaged"):
        fetch(FILE, tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / FILE.name).write_bytes(b"mine")
    with pytest.raises(FetchError, match="is not the published file"):
        fetch(FILE, tmp_path)


def test_a_refusal_is_passed_on(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(FetchError, match=r"refused .*404"):
        fetch(FILE, tmp_path)


def test_without_a_network_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "FOLDER", "http://127.0.0.1:9/")  # nobody listens there
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "300")
    result = CliRunner().invoke(app, ["fetch", "level1", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "no network" in result.output and "epoch=1404-step=455000.ckpt" in result.output
    unknown = CliRunner().invoke(app, ["fetch", "level7"])
    assert unknown.exit_code == 1 and "known: level2, level1, level0, finisher" in unknown.output


def test_published_names_tell_their_roles() -> None:
    assert [v1_role(Path(file.name)) for file in PUBLISHED] == [file.role for file in PUBLISHED]
    assert all(len(file.sha256) == 64 and file.address.startswith("https://") for file in PUBLISHED)
