-- Schema 1. Never changed once released: a later change is a new file, listed in migrate.rs.
--
-- `lake` and `asset` are ids of `names`. A partition is stored as a whole number of days since
-- 1970-01-01, or as the text 'whole'. Times are milliseconds since 1970 UTC.

CREATE TABLE names (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE codes (
    id   INTEGER PRIMARY KEY,
    code BLOB NOT NULL UNIQUE CHECK (length(code) = 16)
) STRICT;

-- The newest materialization of each partition. A partition whose manifest has vanished keeps
-- its row with `code` NULL, so that its next generation is above the last one.
CREATE TABLE ledger (
    lake       INTEGER NOT NULL,
    asset      INTEGER NOT NULL,
    day        ANY     NOT NULL,
    generation INTEGER NOT NULL CHECK (generation > 0),
    code       INTEGER,
    inputs     BLOB CHECK (length(inputs) = 16),
    data       BLOB CHECK (length(data) = 16),
    rows       INTEGER,
    at_ms      INTEGER,
    outcome    INTEGER,            -- 0 complete, 1 budget, 2 pending
    PRIMARY KEY (lake, asset, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    lake            INTEGER NOT NULL,
    command         TEXT    NOT NULL,
    request         TEXT    NOT NULL,          -- JSON
    pid             INTEGER NOT NULL,
    host            TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    message         TEXT,
    steps           INTEGER NOT NULL,
    succeeded       INTEGER NOT NULL DEFAULT 0,
    failed          INTEGER NOT NULL DEFAULT 0,
    skipped         INTEGER NOT NULL DEFAULT 0,
    upstream_failed INTEGER NOT NULL DEFAULT 0,
    canceled        INTEGER NOT NULL DEFAULT 0,
    started_ms      INTEGER NOT NULL,
    heartbeat_ms    INTEGER NOT NULL,
    finished_ms     INTEGER,                   -- NULL exactly while the state is not final
    cancel          INTEGER NOT NULL DEFAULT 0,
    pruned          INTEGER NOT NULL DEFAULT 0 -- 1 once its steps and events are removed
) STRICT;
CREATE INDEX runs_open ON runs (heartbeat_ms) WHERE finished_ms IS NULL;
CREATE INDEX runs_unpruned ON runs (finished_ms) WHERE finished_ms IS NOT NULL AND pruned = 0;

-- `source` is empty for a partition step; for a capture step `part` is the window.
CREATE TABLE steps (
    run         INTEGER NOT NULL,
    asset       INTEGER NOT NULL,
    source      TEXT    NOT NULL,
    part        ANY     NOT NULL,
    state       TEXT    NOT NULL,
    attempt     INTEGER NOT NULL DEFAULT 0,
    started_ms  INTEGER,
    finished_ms INTEGER,                       -- NULL exactly while the state is not final
    stats       TEXT,                          -- JSON
    message     TEXT,
    checks      TEXT,                          -- JSON
    PRIMARY KEY (run, asset, source, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    run   INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    event TEXT    NOT NULL                     -- JSON
) STRICT;
CREATE INDEX events_run ON events (run);

CREATE TABLE leases (
    lake     INTEGER NOT NULL,
    key      TEXT    NOT NULL,
    run      INTEGER NOT NULL,
    taken_ms INTEGER NOT NULL,
    PRIMARY KEY (lake, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_run ON leases (run);

-- Targets whose newest outcome is a failure. Kept apart from `steps`, so that pruning old runs
-- does not forget what is still broken.
CREATE TABLE failures (
    lake        INTEGER NOT NULL,
    asset       INTEGER NOT NULL,
    source      TEXT    NOT NULL,
    part        ANY     NOT NULL,
    run         INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    message     TEXT    NOT NULL,
    fingerprint BLOB CHECK (length(fingerprint) = 16),
    at_ms       INTEGER NOT NULL,
    PRIMARY KEY (lake, asset, source, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE cache (
    lake  INTEGER NOT NULL,
    kind  TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    value BLOB    NOT NULL,
    UNIQUE (lake, kind, key)
) STRICT;

-- For people with a SQLite shell.
CREATE VIEW ledger_readable AS
SELECT l.name AS lake,
       a.name AS asset,
       CASE typeof(day) WHEN 'integer' THEN date(day * 86400, 'unixepoch') ELSE day END AS partition,
       generation,
       CASE WHEN ledger.code IS NULL THEN 'vanished'
            ELSE CASE outcome WHEN 0 THEN 'complete' WHEN 1 THEN 'budget' WHEN 2 THEN 'pending' END
       END AS outcome,
       rows,
       strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS published_at,
       lower(hex(c.code)) AS code_version,
       lower(hex(inputs)) AS inputs_fingerprint,
       lower(hex(data)) AS data_version
FROM ledger
JOIN names l ON l.id = ledger.lake
JOIN names a ON a.id = ledger.asset
LEFT JOIN codes c ON c.id = ledger.code;

CREATE VIEW steps_readable AS
SELECT run,
       a.name AS asset,
       source,
       CASE typeof(part) WHEN 'integer' THEN date(part * 86400, 'unixepoch') ELSE part END AS part,
       state,
       attempt,
       strftime('%Y-%m-%dT%H:%M:%fZ', started_ms / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', finished_ms / 1000.0, 'unixepoch') AS finished_at,
       message
FROM steps
JOIN names a ON a.id = steps.asset;
