"""A day with pymemcache: HOST PORT."""

import sys

import day
from pymemcache.client.base import Client

host, port = sys.argv[1], int(sys.argv[2])
client = Client((host, port), connect_timeout=10, timeout=10, default_noreply=False)
big = b"v" * 900_000


def cas(key, value):
    """Changes a value that nobody else has changed meanwhile."""
    _, unique = client.gets(key)
    return client.cas(key, value, unique or "0")


def cas_that_is_late(key, value):
    """Changes a value that somebody else has changed meanwhile."""
    _, unique = client.gets(key)
    client.set(key, b"by another")
    return client.cas(key, value, unique or "0")


day.run(
    [
        ("version", client.version),
        ("flush", client.flush_all),
        ("get of nothing", lambda: client.get("day:one")),
        ("set", lambda: client.set("day:one", b"1")),
        ("set with expiry and flags", lambda: client.set("day:two", b"2", expire=3600, flags=7)),
        ("get", lambda: client.get("day:one")),
        ("get of many", lambda: client.get_many(["day:one", "day:two", "day:none"])),
        ("set of many", lambda: client.set_many({f"day:{n}": b"x" * n for n in range(100)})),
        ("get of a hundred", lambda: client.get_many([f"day:{n}" for n in range(100)])),
        ("set of 900 KB", lambda: client.set("day:big", big)),
        ("get of 900 KB", lambda: client.get("day:big") == big or client.get("day:big")),
        ("set of too much", lambda: client.set("day:huge", b"v" * 2_000_000)),
        ("set of nothing", lambda: client.set("day:empty", b"")),
        ("set of line ends", lambda: client.set("day:lines", b"END\r\nget day:one\r\n")),
        ("get of line ends", lambda: client.get("day:lines")),
        ("add of what is there", lambda: client.add("day:one", b"x")),
        ("add of what is not", lambda: client.add("day:added", b"x")),
        ("replace", lambda: client.replace("day:added", b"y")),
        ("replace of nothing", lambda: client.replace("day:none", b"y")),
        ("append", lambda: client.append("day:added", b"z")),
        ("prepend", lambda: client.prepend("day:added", b"x")),
        ("get of what was joined", lambda: client.get("day:added")),
        ("compare and swap", lambda: cas("day:one", b"10")),
        ("compare and swap too late", lambda: cas_that_is_late("day:two", b"20")),
        ("increment", lambda: client.incr("day:one", 5)),
        ("decrement", lambda: client.decr("day:one", 20)),
        ("increment of nothing", lambda: client.incr("day:none", 5)),
        ("increment of a word", lambda: client.incr("day:added", 5)),
        ("touch", lambda: client.touch("day:one", 60)),
        ("touch of nothing", lambda: client.touch("day:none", 60)),
        ("set (noreply)", lambda: client.set("day:one", b"quiet", noreply=True)),
        ("get after it", lambda: client.get("day:one")),
        ("delete", lambda: client.delete("day:one")),
        ("delete of nothing", lambda: client.delete("day:one")),
        ("delete (noreply)", lambda: client.delete("day:two", noreply=True)),
        ("get after that", lambda: client.get("day:two")),
        ("delete of many", lambda: client.delete_many([f"day:{n}" for n in range(100)])),
        ("names of statistics", lambda: day.names(client.stats())),
        ("flush at the end", client.flush_all),
        ("quit", client.quit),
    ]
)
