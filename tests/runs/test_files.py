"""Files are written whole or not at all."""

import errno
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier

import pandas as pd
import pytest

from resnet_paper.errors import UserError
from resnet_paper.runs.files import (
    locked,
    remove_temporaries,
    require_writable,
    write,
    write_csv,
)

WRITES = 200
PROCESSES = 6


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    write(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*run\.json \(No space left on device\)"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_and_its_sha256(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.csv"
    digest = write_csv(path, pd.DataFrame({"layer": [1, 2], "std": [0.5, 0.25]}))
    assert path.read_bytes() == b"layer,std\n1,0.5\n2,0.25\n"
    assert digest == "702d9557f65c38c40897cf42b7352264a26b9a80e895de6ea5632a9cb826a4b4"


@pytest.fixture
def umask() -> Iterator[int]:
    mask = 0o027
    before = os.umask(mask)
    yield mask
    os.umask(before)


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path, umask: int) -> None:
    write(tmp_path / "run.json", b"{}")
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o666 & ~umask
    assert os.umask(umask) == umask, "the process keeps its umask"


def add_often(counter: Path, together: Barrier) -> None:
    together.wait()
    for _ in range(WRITES):
        with locked(counter.with_name("lock"), "waiting"):
            counter.write_text(f"{int(counter.read_text()) + 1}")


def test_one_process_at_a_time_holds_a_lock_whose_file_comes_and_goes(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("fork")
    together = context.Barrier(PROCESSES, timeout=60)
    adders = [context.Process(target=add_often, args=(counter, together)) for _ in range(PROCESSES)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    assert [adder.exitcode for adder in adders] == [0] * PROCESSES
    assert counter.read_text() == f"{WRITES * PROCESSES}"
    assert list(tmp_path.iterdir()) == [counter]


def write_often(path: Path, content: bytes, together: Barrier) -> None:
    together.wait()
    for _ in range(WRITES):
        write(path, content)


def test_two_processes_that_write_one_file(tmp_path: Path) -> None:
    """The file always is one of the two contents, and neither writer fails."""
    path = tmp_path / "responses.csv"
    contents = [bytes([letter]) * 200_000 for letter in b"ab"]
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(len(contents), timeout=60)
    write(path, contents[0])
    writers = [
        context.Process(target=write_often, args=(path, content, together)) for content in contents
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in contents
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_only_temporaries_are_removed(tmp_path: Path) -> None:
    write(tmp_path / "run.json", b"{}")
    (tmp_path / "run.json.x1y2.tmp").write_bytes(b"{")
    remove_temporaries(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "run.json"]


def test_asking_whether_a_folder_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    require_writable(tmp_path / "runs" / "demo")
    assert not list(tmp_path.iterdir())
    (tmp_path / "runs").touch()
    with pytest.raises(UserError, match="cannot write"):
        require_writable(tmp_path / "runs" / "demo")


def test_the_names_of_files_and_new_folders_reach_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power failure after a write could else lose the name of what it has written."""
    synced, fsync = [], os.fsync

    def spy(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    run = tmp_path / "resnet-20" / "seed-0"
    write(run / "run.json", b"{}")
    folders = [path for path in synced if path.is_dir()]
    assert folders == [tmp_path, tmp_path / "resnet-20", run]
    assert synced[-1] == run, "after the file has its name"


def test_a_file_system_that_syncs_no_folders_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def refuse(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    write(tmp_path / "run.json", b"{}")
    assert (tmp_path / "run.json").read_bytes() == b"{}"
