"""A day with pylibmc: HOST PORT text|binary."""

import sys

import day
import pylibmc

host, port, protocol = sys.argv[1:]
client = pylibmc.Client(
    [f"{host}:{port}"],
    binary=protocol == "binary",
    behaviors={"cas": True, "tcp_nodelay": True, "receive_timeout": 10_000_000},
)
big = b"v" * 900_000


def cas(key, value):
    """Changes a value that nobody else has changed meanwhile."""
    _, unique = client.gets(key)
    return client.cas(key, value, unique)


def cas_that_is_late(key, value):
    """Changes a value that somebody else has changed meanwhile."""
    _, unique = client.gets(key)
    client.set(key, b"by another")
    return client.cas(key, value, unique)


day.run(
    [
        ("flush", client.flush_all),
        ("get of nothing", lambda: client.get("day:one")),
        ("set", lambda: client.set("day:one", "1")),
        ("set of a structure", lambda: client.set("day:two", {"a": [1, 2.5, None]}, time=3600)),
        ("get", lambda: client.get("day:one")),
        ("get of a structure", lambda: client.get("day:two")),
        ("get of many", lambda: client.get_multi(["day:one", "day:two", "day:none"])),
        ("set of many", lambda: client.set_multi({f"day:{n}": "x" * n for n in range(100)})),
        ("get of a hundred", lambda: sorted(client.get_multi([f"day:{n}" for n in range(100)]).items())),
        ("set of 900 KB", lambda: client.set("day:big", big)),
        ("get of 900 KB", lambda: client.get("day:big") == big or client.get("day:big")),
        ("set of 900 KB, compressed", lambda: client.set("day:big", big, min_compress_len=1000)),
        ("get of it", lambda: client.get("day:big") == big or client.get("day:big")),
        ("set of nothing", lambda: client.set("day:empty", b"")),
        ("get of nothing again", lambda: client.get("day:empty")),
        ("add of what is there", lambda: client.add("day:one", "x")),
        ("add of what is not", lambda: client.add("day:added", "x")),
        ("replace", lambda: client.replace("day:added", "y")),
        ("replace of nothing", lambda: client.replace("day:none", "y")),
        ("append", lambda: client.append("day:added", "z")),
        ("prepend", lambda: client.prepend("day:added", "x")),
        ("get of what was joined", lambda: client.get("day:added")),
        ("compare and swap", lambda: cas("day:one", "10")),
        ("compare and swap too late", lambda: cas_that_is_late("day:two", "20")),
        ("set of a number", lambda: client.set("day:number", 10)),
        ("increment", lambda: client.incr("day:number", 5)),
        ("decrement", lambda: client.decr("day:number", 20)),
        ("increment of nothing", lambda: client.incr("day:none", 5)),
        ("touch", lambda: client.touch("day:one", 60)),
        ("touch of nothing", lambda: client.touch("day:none", 60)),
        ("delete", lambda: client.delete("day:one")),
        ("delete of nothing", lambda: client.delete("day:one")),
        ("delete of many", lambda: client.delete_multi([f"day:{n}" for n in range(100)])),
        ("names of statistics", lambda: day.names(client.get_stats()[0][1])),
        ("flush at the end", client.flush_all),
        ("goodbye", client.disconnect_all),
    ]
)
