-- A log of schema 7, as it was written while the database kept the versions of a stream unique itself.
BEGIN TRANSACTION;
CREATE TABLE agenda (owner TEXT NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL, what TEXT NOT NULL,
    due_us INTEGER NOT NULL, PRIMARY KEY (owner, id, key, what)) WITHOUT ROWID;
INSERT INTO "agenda" VALUES('Transfer','t1','wait','deadline',9);
CREATE TABLE checkpoints (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL
, checksum INTEGER) WITHOUT ROWID;
INSERT INTO "checkpoints" VALUES('balances',3,3740666080);
INSERT INTO "checkpoints" VALUES('projection Sums version 1',3,2955965114);
INSERT INTO "checkpoints" VALUES('reaction mail',2,3369952802);
INSERT INTO "checkpoints" VALUES('sagas agenda',3,2821044507);
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
    schema_version INTEGER NOT NULL, first_position INTEGER,
    UNIQUE (name, schema_version)
);
INSERT INTO "event_types" VALUES(1,'Deposited',1,1);
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
INSERT INTO "events" VALUES(2,1,2,1,'{"amount":2}','{"command_id":"c-2"}',1700000000123456,2095443945,'c1',5561069517871775746,7);
INSERT INTO "events" VALUES(3,2,1,1,'{"amount":1}','{"command_id":"c-1"}',1700000000123456,2096049444,NULL,NULL,NULL);
CREATE TABLE projection_states
    (name TEXT PRIMARY KEY, version INTEGER NOT NULL, position INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "projection_states" VALUES('projection Sums version 1',1,3,'{"sum":4}');
CREATE TABLE sagas (type TEXT NOT NULL, id TEXT NOT NULL, status TEXT, step TEXT, reason TEXT,
    started_us INTEGER, updated_us INTEGER NOT NULL, PRIMARY KEY (type, id)) WITHOUT ROWID;
INSERT INTO "sagas" VALUES('Transfer','t1','running','wait',NULL,5,6);
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
CREATE TABLE submissions (id TEXT NOT NULL PRIMARY KEY, type TEXT NOT NULL, status TEXT NOT NULL,
    reason TEXT NOT NULL, due_us INTEGER NOT NULL, submitted_us INTEGER NOT NULL, ended_us INTEGER NOT NULL)
    WITHOUT ROWID;
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
CREATE INDEX agenda_by_time ON agenda (due_us);
CREATE INDEX sagas_by_status ON sagas (status, type) WHERE status <> 'completed';
CREATE INDEX submissions_by_status ON submissions (status, id) WHERE status <> 'done';
CREATE INDEX by_causation_id ON events (json_extract(metadata, '$.causation_id')) WHERE instr(metadata, '"causation_id":"') AND json_valid(metadata);
CREATE INDEX by_correlation_id ON events (json_extract(metadata, '$.correlation_id')) WHERE instr(metadata, '"correlation_id":"') AND json_valid(metadata);
COMMIT;
PRAGMA user_version = 7;
PRAGMA application_id = 1097036911;
