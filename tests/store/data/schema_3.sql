-- A log of schema 3, as it was written before the marks of commands had checksums.
BEGIN TRANSACTION;
CREATE TABLE checkpoints (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL
, checksum INTEGER) WITHOUT ROWID;
INSERT INTO "checkpoints" VALUES('balances',3,3740666080);
CREATE TABLE dead_letters (
    processor TEXT NOT NULL,
    position INTEGER NOT NULL,
    stream_type TEXT NOT NULL,
    stream_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    error TEXT NOT NULL,
    traceback TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    parked_us INTEGER NOT NULL,
    discarded TEXT NOT NULL, checksum INTEGER,
    PRIMARY KEY (processor, position)
) WITHOUT ROWID;
INSERT INTO "dead_letters" VALUES('reaction mail',2,'Account','alice',2,'Deposited','ValueError: no','Traceback',3,77,'',1832150243);
CREATE TABLE event_types (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    UNIQUE (name, schema_version)
);
INSERT INTO "event_types" VALUES(1,'Deposited',1);
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    version INTEGER NOT NULL,
    type INTEGER NOT NULL,
    payload TEXT NOT NULL,
    metadata TEXT NOT NULL,
    recorded_us INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    command_id TEXT,
    command_events INTEGER,
    command_fingerprint INTEGER,
    UNIQUE (stream, version)
);
INSERT INTO "events" VALUES(1,1,1,1,'{"amount":1}','{"command_id":"c-1"}',1700000000123456,1110285289,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,1,2,1,'{"amount":2}','{"command_id":"c-2"}',1700000000123456,2095443945,'c1',2,7);
INSERT INTO "events" VALUES(3,2,1,1,'{"amount":1}','{"command_id":"c-1"}',1700000000123456,2096049444,NULL,NULL,NULL);
CREATE TABLE snapshots (
    stream INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (stream, fingerprint)
);
INSERT INTO "snapshots" VALUES(1,'f',2,'{"balance":3}',568339082);
CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (type, name)
);
INSERT INTO "streams" VALUES(1,'Account','alice');
INSERT INTO "streams" VALUES(2,'Account','bob');
CREATE UNIQUE INDEX commands ON events (command_id) WHERE command_id IS NOT NULL;
CREATE VIEW log AS
SELECT
    events.position AS position,
    streams.type AS stream_type,
    streams.name AS stream_id,
    events.version AS version,
    event_types.name AS type,
    event_types.schema_version AS schema_version,
    events.payload AS payload,
    events.metadata AS metadata,
    strftime('%Y-%m-%dT%H:%M:%S', events.recorded_us / 1000000, 'unixepoch')
        || printf('.%06dZ', events.recorded_us % 1000000) AS recorded_at
FROM events
LEFT JOIN streams ON streams.id = events.stream
LEFT JOIN event_types ON event_types.id = events.type;
COMMIT;
PRAGMA user_version = 3;
PRAGMA application_id = 1097036911;
