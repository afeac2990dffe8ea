"""Records in stores over a network: a real S3 server, a node of IPFS as its RPC is written down."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.errors import RecordUnavailable
from hub.vault.ipfs import RAW_BLOCK_MAX, IpfsStore, cid_of
from hub.vault.stores import FileStore, RemoteStore, Stores, open_store
from tests.support.vault_bench import Community

SECRET = b"ann owes nobody anything but 12.34" * 3
BLOB = b"noise"
NAME = hashlib.sha256(BLOB).hexdigest()


class S3:
    """moto's server on loopback, and an fsspec that knows where it is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from fsspec.config import conf
        from moto.server import ThreadedMotoServer
        from s3fs import S3FileSystem

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        self.server = ThreadedMotoServer("127.0.0.1", 0)
        self.server.start()
        host, port = self.server.get_host_and_port()
        own = {
            "endpoint_url": f"http://{host}:{port}",
            "config_kwargs": {"retries": {"max_attempts": 1}},
        }
        monkeypatch.setitem(conf, "s3", own)
        S3FileSystem.clear_instance_cache()

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
        self.server = None


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    found = S3(monkeypatch)
    yield found
    found.stop()


def test_a_blob_comes_back_from_s3_and_is_gone_when_deleted(s3: S3, tmp_path: Path) -> None:
    store = open_store("s3://records/vault", tmp_path)
    assert isinstance(store, RemoteStore)
    store.put(NAME, BLOB)
    store.put(NAME, BLOB)
    assert store.get(NAME) == BLOB
    store.delete(NAME)
    store.delete(NAME)
    with pytest.raises(FileNotFoundError):
        store.get(NAME)


def test_a_record_outlives_the_loss_of_its_bucket_and_of_its_folder(s3: S3, tmp_path: Path) -> None:
    here = Community(tmp_path, stores=("s3://records/vault", "file:one"))
    record = here.desk("ann").put(SECRET, "bill", "")
    bucket = open_store("s3://records/vault", tmp_path)
    (blob,) = (tmp_path / "one").iterdir()
    assert bucket.get(blob.name) == blob.read_bytes()
    assert SECRET[:20] not in blob.read_bytes()
    whole = blob.read_bytes()
    bucket.delete(blob.name)
    assert here.desk("ann").get(record) == SECRET
    assert bucket.get(blob.name) == whole  # mended
    bucket.put(blob.name, whole[:-1] + bytes((whole[-1] ^ 1,)))
    assert here.desk("ann").get(record) == SECRET
    assert bucket.get(blob.name) == whole
    blob.unlink()
    assert here.desk("ann").get(record) == SECRET
    here.desk("ann").erase(record)
    with pytest.raises(FileNotFoundError):
        bucket.get(blob.name)


def test_a_server_that_is_down_is_passed_over_and_said(
    s3: S3, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bucket, folder = open_store("s3://records/vault", tmp_path), FileStore(tmp_path / "f")
    bucket.put("0" * 64, b"before")
    s3.stop()
    stores = Stores([bucket, folder])
    assert stores.put(NAME, BLOB) == (folder.place,)
    assert stores.get(NAME) == BLOB
    assert stores.delete(NAME) == ("s3://records/vault",)
    assert "store s3://records/vault did not take" in caplog.text
    assert "Could not connect" in caplog.text
    with pytest.raises(RecordUnavailable, match="no store took"):
        Stores([bucket]).put(NAME, BLOB)


# --- IPFS --------------------------------------------------------------------------------------


class Node(ThreadingHTTPServer):
    """A node of IPFS as the reference of Kubo's RPC has it, blocks alone."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), NodeHandler)
        self.blocks: dict[str, bytes] = {}
        self.pins: set[str] = set()
        self.lies = False
        self.place = f"ipfs:http://127.0.0.1:{self.server_address[1]}"


class NodeHandler(BaseHTTPRequestHandler):
    server: Node

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        given = {key: values[0] for key, values in parse_qs(url.query).items()}
        serve = getattr(self, "on_" + url.path.removeprefix("/api/v0/").replace("/", "_"))
        status, answer = serve(given, body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def on_block_put(self, given: dict[str, str], body: bytes) -> tuple[int, bytes]:
        assert given == {"cid-codec": "raw", "mhtype": "sha2-256", "pin": "true"}
        mark = re.search(r"boundary=(\w+)", self.headers["Content-Type"])
        assert mark is not None
        first, block, last = body.split(f"--{mark[1]}".encode())
        assert (first, last) == (b"", b"--\r\n")
        content = block.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        if self.server.lies:
            content += b"x"
        cid = cid_of(hashlib.sha256(content).hexdigest())
        self.server.blocks[cid] = content
        self.server.pins.add(cid)
        return 200, json.dumps({"Key": cid, "Size": len(content)}).encode()

    def on_block_get(self, given: dict[str, str], _body: bytes) -> tuple[int, bytes]:
        found = self.server.blocks.get(given["arg"])
        return (500, _said("block was not found")) if found is None else (200, found)

    def on_block_rm(self, given: dict[str, str], _body: bytes) -> tuple[int, bytes]:
        if given["arg"] in self.server.pins:
            return 500, _said("pinned: recursive")
        self.server.blocks.pop(given["arg"], None)
        return 200, json.dumps({"Hash": given["arg"]}).encode()

    def on_pin_rm(self, given: dict[str, str], _body: bytes) -> tuple[int, bytes]:
        if given["arg"] not in self.server.pins:
            return 500, _said("not pinned or pinned indirectly")
        self.server.pins.remove(given["arg"])
        return 200, json.dumps({"Pins": [given["arg"]]}).encode()

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def _said(text: str) -> bytes:
    return json.dumps({"Message": text, "Code": 0, "Type": "error"}).encode()


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_a_record_lies_in_ipfs_under_the_id_that_its_name_gives(node: Node, tmp_path: Path) -> None:
    here = Community(tmp_path, stores=(node.place, "file:one"))
    record = here.desk("ann").put(SECRET, "bill", "")
    ((cid, block),) = node.blocks.items()
    assert cid == cid_of(hashlib.sha256(block).hexdigest())
    (tmp_path / "one" / hashlib.sha256(block).hexdigest()).unlink()
    assert here.desk("ann").get(record) == SECRET
    ran = CliRunner().invoke(app, ["record", "mend", "--config", str(tmp_path / "hub.toml")])
    assert ran.stdout == f"record {record.hex()}: mended in file:one\n"
    node.blocks.clear()
    assert here.desk("ann").get(record) == SECRET
    assert list(node.blocks) == [cid]  # mended
    here.desk("ann").erase(record)
    assert (node.blocks, node.pins) == ({}, set())


def test_what_a_node_has_not_refuses_or_changes_is_an_error(node: Node, tmp_path: Path) -> None:
    store = open_store(node.place, tmp_path)
    with pytest.raises(OSError, match="block was not found"):
        store.get(NAME)
    store.delete(NAME)
    with pytest.raises(OSError, match="at most 1048576 bytes"):
        store.put(NAME, bytes(RAW_BLOCK_MAX + 1))
    node.lies = True
    with pytest.raises(OSError, match="which is another block"):
        store.put(NAME, BLOB)


def test_a_node_that_is_away_and_a_place_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="refused"):
        IpfsStore("ipfs:http://127.0.0.1:1").get(NAME)
    with pytest.raises(RecordUnavailable, match="want ipfs: and the RPC address"):
        open_store("ipfs:somewhere", tmp_path)
