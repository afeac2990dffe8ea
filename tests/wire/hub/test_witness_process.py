"""The witness as a process over loopback TCP: its status lines, its limits, and its death."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from messages.log.checkpoint import open_checkpoint
from messages.log.cosignature import open_cosignatures
from messages.log.submission import origin_hash
from tests.support.growing_log import ORIGIN, GrowingLog
from tests.support.witness_process import START_WITHIN_S, WitnessProcess, command, witness_process

NAME = "witness.example/w1"
KILLS = 5


@pytest.fixture
def log() -> GrowingLog:
    return GrowingLog()


@pytest.fixture
def witness(tmp_path: Path, log: GrowingLog) -> Iterator[WitnessProcess]:
    with witness_process(tmp_path / "w1", NAME, (log.vkey,)) as made:
        yield made


def add(witness: WitnessProcess, body: bytes) -> tuple[int, str, bytes]:
    return witness.ask("POST", "/add-checkpoint", body)


def test_status_type_and_body_are_those_of_the_table(
    witness: WitnessProcess, log: GrowingLog
) -> None:
    other = GrowingLog("log.example/other")
    status, _, line = add(witness, log.submission(0, 5))
    assert status == 200
    assert open_cosignatures(log.note(5) + line.decode(), (witness.key,))
    assert add(witness, b"nothing")[0] == 400
    assert add(witness, other.submission(0, 5))[0] == 404
    assert add(witness, log.submission(0, 5).replace(b"\n5\n", b"\n6\n"))[0] == 403
    assert add(witness, log.submission(3, 7)) == (409, "text/x.tlog.size", b"5\n")
    assert add(witness, log.submission(5, 7, ()))[0] == 422
    shown = witness.ask("GET", f"/{origin_hash(ORIGIN)}/checkpoint")
    assert shown[0] == 200
    assert open_checkpoint(shown[2].decode(), log.key).size == 5
    assert line.decode() in shown[2].decode()
    assert witness.ask("GET", f"/{origin_hash('elsewhere')}/checkpoint")[0] == 404


def test_other_paths_and_methods_are_refused(witness: WitnessProcess) -> None:
    assert witness.vkey.encode() in witness.ask("GET", "/")[2]
    for method, path, status in [
        ("GET", "/add-checkpoint", 405),
        ("POST", f"/{origin_hash(ORIGIN)}/checkpoint", 405),
        ("POST", "/", 405),
        ("GET", "/checkpoint", 404),
        ("GET", f"/{origin_hash(ORIGIN).upper()}/checkpoint", 404),
        ("GET", "/witness.pem", 404),
        ("GET", "/../witness.pem", 404),
    ]:
        assert witness.ask(method, path)[0] == status, (method, path)


def test_it_ends_without_a_complaint_when_it_is_told_to(witness: WitnessProcess) -> None:
    assert witness.process is not None
    witness.process.terminate()
    assert witness.process.wait(START_WITHIN_S) == 0, witness.log_text()


def test_a_body_too_long_is_refused_before_it_is_read(witness: WitnessProcess) -> None:
    assert add(witness, b"old 0\n" + b"x" * 70_000)[0] == 413
    with socket.create_connection(("127.0.0.1", witness.port), timeout=20) as client:
        head = b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 10000000000\r\n\r\n"
        client.sendall(head + b"x" * 100_000)
        assert client.recv(64).startswith(b"HTTP/1.1 413 ")


def test_silent_and_slow_clients_are_hung_up_on_and_keep_nobody_waiting(
    witness: WitnessProcess, log: GrowingLog
) -> None:
    head = b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n"
    silent = []
    for number in range(60):
        client = socket.create_connection(("127.0.0.1", witness.port), timeout=30)
        client.sendall((b"", head, head + b"\r\nold ")[number % 3])
        silent.append(client)
    assert add(witness, log.submission(0, 5))[0] == 200
    for client in silent:
        while client.recv(4_096):
            pass  # an answer may come before the end; the end must come
        client.close()


def test_who_drips_a_body_is_cut_off(witness: WitnessProcess) -> None:
    client = socket.create_connection(("127.0.0.1", witness.port), timeout=1)
    client.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 1000\r\n\r\n")
    deadline_s = time.monotonic() + 30
    answer = b""
    while not answer:
        assert time.monotonic() < deadline_s
        try:
            client.sendall(b"o")
            answer = client.recv(64)
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 408 ")
    client.close()


def test_many_at_once_are_cosigned_in_one_order(witness: WitnessProcess, log: GrowingLog) -> None:
    """Two branches race: whatever wins, no two answers of 200 can disagree."""
    assert add(witness, log.submission(0, 10))[0] == 200
    branches = [log, log.fork(10), log.fork(11), log.fork(12)]
    taken: list[tuple[GrowingLog, int]] = []

    def race(branch: GrowingLog) -> None:
        chooser = random.Random(branch.forked_at or 0)
        held = 10
        for _ in range(12):
            size = held + chooser.randint(1, 3)
            status, _, body = add(witness, branch.submission(held, size))
            if status == 200:
                taken.append((branch, size))
                held = size
            elif status == 409:
                held = int(body)

    threads = [threading.Thread(target=race, args=(branch,)) for branch in branches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken
    largest, size = max(taken, key=lambda each: each[1])
    whole = largest.leaves(size)
    assert all(branch.leaves(small) == whole[:small] for branch, small in taken)


def test_what_was_answered_is_never_forgotten_however_often_it_is_killed(
    witness: WitnessProcess, log: GrowingLog
) -> None:
    """Kill it at random moments under load: it remembers at least all that it answered."""
    chooser = random.Random(7)
    answered = 0
    for _ in range(KILLS):
        timer = threading.Timer(chooser.uniform(0.05, 0.4), witness.kill)
        timer.start()
        held = answered
        try:
            while True:
                status, _, body = add(witness, log.submission(held, held + 1))
                assert status in (200, 409), body
                held = held + 1 if status == 200 else int(body)
                answered = max(answered, held)
        except OSError:
            timer.join()
        witness.start()
        status, _, body = add(witness, log.fork(0).submission(0, answered + 5))
        assert (status, int(body) >= answered) == (409, True)
        answered = int(body)
    assert answered > KILLS


def test_commands_say_what_is_wrong(tmp_path: Path, log: GrowingLog) -> None:
    folder = str(tmp_path / "w")
    none = command("witness", "--dir", folder)
    assert (none.returncode, "give it a --name" in none.stderr) == (78, True)
    made = command("witness-init", "--dir", folder, "--name", NAME, "--log", log.vkey)
    assert made.returncode == 0
    assert made.stdout.startswith(f"witness witness.example-w1 {NAME}+")
    again = command("witness-init", "--dir", folder, "--name", NAME)
    assert (again.returncode, "already" in again.stderr) == (78, True)
    listen = command("witness", "--dir", folder, "--listen", "nowhere")
    assert (listen.returncode, "not HOST:PORT" in listen.stderr) == (64, True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        busy = command("witness", "--dir", folder, "--listen", f"127.0.0.1:{port}")
    assert (busy.returncode, "another program has the port" in busy.stderr) == (69, True)
    (tmp_path / "w" / "witness.db").unlink()
    lost = command("witness", "--dir", folder)
    assert (lost.returncode, "retire its key" in lost.stderr) == (78, True)
    assert "Traceback" not in lost.stderr + busy.stderr + listen.stderr
