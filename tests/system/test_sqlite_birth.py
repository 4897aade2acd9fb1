"""A database is there whole or not at all, whatever ends the process that makes it."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from regbench.system.errors import RegbenchError
from regbench.system.sqlite_birth import born_whole


def made(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE things (name TEXT)")
        database.execute("INSERT INTO things VALUES ('first')")
        database.commit()


def names(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        return [name for (name,) in database.execute("SELECT name FROM things")]


def test_it_is_made_once(tmp_path):
    path = tmp_path / "folder" / "things.db"
    born_whole(path, "things", made)
    assert not path.parent.exists(), "a folder that is not there is a mistake of who names it"
    path.parent.mkdir()
    born_whole(path, "things", made)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO things VALUES ('second')")
        database.commit()
    born_whole(path, "things", made)
    assert names(path) == ["first", "second"]
    assert sorted(entry.name for entry in path.parent.iterdir()) == [".things.db.lock", "things.db"]


HALF = {
    "empty file": lambda path: path.touch(),
    "other tables": lambda path: path.write_bytes(database_of("CREATE TABLE others (a)")),
    "no row": lambda path: path.write_bytes(database_of("CREATE TABLE things (name TEXT)")),
}


def database_of(*statements):
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
        return database.serialize()


@pytest.mark.parametrize("half", HALF.values(), ids=HALF)
def test_what_was_left_half_made_is_set_aside(tmp_path, half, caplog):
    path = tmp_path / "things.db"
    half(path)
    before = path.read_bytes()
    born_whole(path, "things", made)
    assert names(path) == ["first"]
    (aside,) = tmp_path.glob("things.db.*")
    assert aside.read_bytes() == before
    assert aside.name in caplog.text


def test_somebodys_file_is_left_alone(tmp_path):
    path = tmp_path / "thesis.txt"
    path.write_text("Chapter 1\n" * 1000)
    with pytest.raises(RegbenchError, match=r"thesis\.txt` must be an SQLite database"):
        born_whole(path, "things", made)
    assert path.read_text() == "Chapter 1\n" * 1000


def test_a_maker_that_fails_leaves_nothing(tmp_path):
    def fails(path):
        made(path)
        raise OSError(28, "No space left on device")

    with pytest.raises(RegbenchError, match=r"things\.db` must be writable, but got: No space left"):
        born_whole(tmp_path / "things.db", "things", fails)
    assert [entry.name for entry in tmp_path.iterdir()] == [".things.db.lock"]


SLOW = """
import sqlite3, sys, time
from pathlib import Path
from regbench.system.sqlite_birth import born_whole

def slowly(path):
    database = sqlite3.connect(path)
    for number in range(40):
        database.execute(f"CREATE TABLE part{number} (a)")
        database.commit()
        print(number, flush=True)
        time.sleep(0.01)
    database.execute("CREATE TABLE things (name TEXT)")
    database.execute("INSERT INTO things VALUES ('first')")
    database.commit()
    database.close()

born_whole(Path(sys.argv[1]), "things", slowly)
"""


@pytest.mark.parametrize("after", [0, 7, 39])
def test_a_killed_maker_leaves_no_file(tmp_path, after):
    path = tmp_path / "things.db"
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(path)], stdout=subprocess.PIPE, text=True)
    while process.stdout.readline() != f"{after}\n":
        time.sleep(0)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    if path.exists():  # it was faster than the signal
        assert names(path) == ["first"]
    else:
        born_whole(path, "things", made)
        assert names(path) == ["first"]
