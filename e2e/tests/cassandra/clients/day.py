"""A day's ordinary work with cassandra-driver: named operations, and what each
gives. Arguments: the server's address, and the version of the protocol."""

import sys
import threading
import uuid

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.protocol import SyntaxException
from cassandra.policies import ConstantSpeculativeExecutionPolicy, RoundRobinPolicy
from cassandra.query import BatchStatement, BatchType, SimpleStatement, dict_factory

HOST, VERSION = sys.argv[1], int(sys.argv[2])
IDS = [uuid.UUID(int=n) for n in range(5)]


def profile(**more):
    return ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), **more)


cluster = Cluster(
    [HOST],
    protocol_version=VERSION,
    execution_profiles={
        EXEC_PROFILE_DEFAULT: profile(),
        "dicts": profile(row_factory=dict_factory),
        "twice": profile(
            speculative_execution_policy=ConstantSpeculativeExecutionPolicy(0.0005, 3)
        ),
    },
)
session = None


def connect():
    global session
    session = cluster.connect()
    return cluster.protocol_version, sorted(cluster.metadata.keyspaces)[:2]


def negotiated():
    """Without being told, the driver begins with a version that nobody here
    speaks, and comes down to one that is."""
    with Cluster([HOST], execution_profiles={EXEC_PROFILE_DEFAULT: profile()}) as another:
        another.connect()
        return another.protocol_version


def rows(text, *arguments, **more):
    return [tuple(row) for row in session.execute(text, *arguments, **more)]


def prepared():
    insert = session.prepare("INSERT INTO day.users (id, name, tags) VALUES (?, ?, ?)")
    for number, key in enumerate(IDS):
        session.execute(insert, (key, f"user {number}", {"a", "b"}))
    select = session.prepare("SELECT name, tags FROM day.users WHERE id = ?")
    return [tuple(session.execute(select, (key,)).one()) for key in IDS]


def unset():
    insert = session.prepare("INSERT INTO day.users (id, name, tags) VALUES (?, ?, ?)")
    session.execute(insert, (IDS[0],) if VERSION > 3 else (IDS[0], "user 0", None))
    session.execute(insert, (IDS[1], None, None))
    return rows("SELECT name, tags FROM day.users WHERE id IN (%s, %s)", (IDS[0], IDS[1]))


def batch(kind):
    insert = session.prepare("INSERT INTO day.log (day, at, what) VALUES (?, ?, ?)")
    many = BatchStatement(batch_type=kind)
    many.add("INSERT INTO day.log (day, at, what) VALUES ('monday', 0, 'begin')")
    many.add("UPDATE day.log SET what = %s WHERE day = %s AND at = %s", ("x", "monday", 1))
    for at in range(2, 40):
        many.add(insert, ("monday", at, "entry"))
    many.add("DELETE FROM day.log WHERE day = 'monday' AND at = 39")
    session.execute(many)
    return rows("SELECT count(*) FROM day.log WHERE day = 'monday'")


def paging():
    statement = SimpleStatement("SELECT at FROM day.log WHERE day = 'monday'", fetch_size=7)
    result, pages = session.execute(statement), []
    while True:
        pages.append(len(result.current_rows))
        if not result.has_more_pages:
            return pages
        result.fetch_next_page()


def tracing():
    result = session.execute("SELECT * FROM day.log WHERE day = 'monday' LIMIT 1", trace=True)
    trace = result.get_query_trace(max_wait=10)
    return trace.request_type, trace.parameters["query"], bool(trace.events)


def events():
    heard, arrived = [], threading.Event()

    def on_schema(event):
        heard.append((event["change_type"], event.get("table")))
        if event.get("table") == "news":
            arrived.set()

    cluster.control_connection._connection.register_watchers(
        {"SCHEMA_CHANGE": on_schema}
    )
    session.execute("CREATE TABLE day.news (k int PRIMARY KEY)")
    return arrived.wait(20), ("CREATED", "news") in heard


def speculative():
    statement = SimpleStatement(
        "SELECT at FROM day.log WHERE day = 'monday' LIMIT 3", is_idempotent=True
    )
    return [
        [row.at for row in session.execute(statement, execution_profile="twice")]
        for _ in range(20)
    ]


def concurrent():
    insert = session.prepare("INSERT INTO day.log (day, at, what) VALUES ('tuesday', ?, ?)")
    results = execute_concurrent_with_args(
        session, insert, [(at, f"entry {at}") for at in range(2000)], concurrency=500
    )
    select = session.prepare("SELECT what FROM day.log WHERE day = 'tuesday' AND at = ?")
    read = execute_concurrent_with_args(
        session, select, [(at,) for at in range(2000)], concurrency=500
    )
    right = [one.result_or_exc.one().what == f"entry {at}" for at, one in enumerate(read)]
    return all(one.success for one in results), len(right), all(right)


def large():
    value = bytes(range(256)) * 4096
    insert = session.prepare("INSERT INTO day.blobs (k, v) VALUES (?, ?)")
    session.execute(insert, (1, value))
    session.execute("INSERT INTO day.blobs (k, v) VALUES (%s, %s)", (2, value[:60000]))
    read = rows("SELECT v FROM day.blobs WHERE k = 1")[0][0]
    return len(read), read == value


def keyspace():
    session.set_keyspace("day")
    found = rows("SELECT name FROM users WHERE id = %s", (IDS[2],))
    statement = session.prepare("SELECT name FROM users WHERE id = ?")
    return found, tuple(session.execute(statement, (IDS[3],)).one())


def own_keyspace():
    if VERSION < 5:
        return "only in v5"
    statement = SimpleStatement("SELECT name FROM users WHERE id = %s", keyspace="day")
    return rows(statement, (IDS[2],))


def mistake():
    """The server's words name a place, the proxy's a reason: the kind counts."""
    try:
        return rows("SELEC * FROM day.users")
    except SyntaxException:
        return "SyntaxException"


OPERATIONS = [
    ("the keyspace is dropped", lambda: rows("DROP KEYSPACE IF EXISTS day")),
    (
        "a keyspace",
        lambda: rows(
            "CREATE KEYSPACE day WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        ),
    ),
    (
        "a table with a set",
        lambda: rows(
            "CREATE TABLE day.users (id uuid PRIMARY KEY, name text, tags set<text>)"
        ),
    ),
    (
        "a table with a clustering key",
        lambda: rows(
            "CREATE TABLE day.log (day text, at int, what text, PRIMARY KEY (day, at)) "
            "WITH CLUSTERING ORDER BY (at DESC)"
        ),
    ),
    ("a table of blobs", lambda: rows("CREATE TABLE day.blobs (k int PRIMARY KEY, v blob)")),
    ("a counter", lambda: rows("CREATE TABLE day.hits (k text PRIMARY KEY, n counter)")),
    ("a type", lambda: rows("CREATE TYPE day.address (street text, town text)")),
    ("an index", lambda: rows("CREATE INDEX by_name ON day.users (name)")),
    ("a column is added", lambda: rows("ALTER TABLE day.users ADD mail text")),
    (
        "a view",
        lambda: rows(
            "CREATE MATERIALIZED VIEW day.by_what AS SELECT * FROM day.log WHERE what IS NOT "
            "NULL AND day IS NOT NULL AND at IS NOT NULL PRIMARY KEY (what, day, at)"
        ),
    ),
    ("prepared statements", prepared),
    ("null and unset values", unset),
    ("a logged batch", lambda: batch(BatchType.LOGGED)),
    ("an unlogged batch", lambda: batch(BatchType.UNLOGGED)),
    (
        "a batch in one text",
        lambda: rows(
            "BEGIN BATCH INSERT INTO day.log (day, at, what) VALUES ('x', 1, 'y'); "
            "DELETE FROM day.log WHERE day = 'x' AND at = 2 APPLY BATCH;"
        ),
    ),
    (
        "counting",
        lambda: rows("UPDATE day.hits SET n = n + 2 WHERE k = 'a'")
        + rows("SELECT n FROM day.hits WHERE k = 'a'"),
    ),
    ("paging", paging),
    ("tracing", tracing),
    ("events", events),
    ("speculative execution", speculative),
    ("a thousand at once", concurrent),
    ("large values", large),
    (
        "a condition that holds",
        lambda: rows("INSERT INTO day.blobs (k, v) VALUES (9, 0xff) IF NOT EXISTS"),
    ),
    (
        "a condition that does not",
        lambda: rows("INSERT INTO day.blobs (k, v) VALUES (9, 0xff) IF NOT EXISTS"),
    ),
    ("an index is asked", lambda: rows("SELECT name FROM day.users WHERE name = 'user 2'")),
    (
        "named values",
        lambda: rows("SELECT name FROM day.users WHERE id = %(id)s", {"id": IDS[4]}),
    ),
    (
        "rows as mappings",
        lambda: session.execute(
            "SELECT name FROM day.users WHERE id = %s", (IDS[4],), execution_profile="dicts"
        ).one(),
    ),
    (
        "another consistency",
        lambda: rows(
            SimpleStatement(
                "SELECT name FROM day.users LIMIT 1", consistency_level=ConsistencyLevel.ALL
            )
        ),
    ),
    ("json", lambda: rows("SELECT JSON name FROM day.users WHERE id = %s", (IDS[4],))),
    ("a keyspace of the request's own", own_keyspace),
    ("a keyspace in use", keyspace),
    ("a mistake", mistake),
    ("a table that is not there", lambda: rows("SELECT * FROM day.nothing")),
    ("a table is emptied", lambda: rows("TRUNCATE day.log")),
    ("a view is dropped", lambda: rows("DROP MATERIALIZED VIEW day.by_what")),
    ("all of it is dropped", lambda: rows("DROP KEYSPACE day")),
]

for name, operation in [
    ("connect", connect),
    ("connect and negotiate", negotiated),
] + OPERATIONS:
    try:
        outcome = repr(operation())
    except Exception as error:  # what it raises is what is looked at
        outcome = f"raises {type(error).__name__}: {error}"
    print(f"{name}: " + outcome.replace("\n", " "), flush=True)
cluster.shutdown()
