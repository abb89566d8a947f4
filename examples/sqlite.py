"""Queries from somebody else, on a database that is open already: no other file can be reached by them.

    python examples/sqlite.py app.db "SELECT …"

ATTACH, extensions that write files and journals on disk all need open(2), which is gone; so the journal is in memory.
"""

import sqlite3
import sys
from pathlib import Path

import sysgate

if __name__ == "__main__":
    database, query = sys.argv[1:]
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode = MEMORY")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE").connection.rollback()  # the file is open and locked from here on
    sysgate.Policy.load(Path(__file__).with_name("sqlite.policy")).install()
    try:
        with connection:
            for row in connection.execute(query):
                print(*row, sep="|")
    except sqlite3.Error as error:
        sys.exit(f"sqlite: {error}")
