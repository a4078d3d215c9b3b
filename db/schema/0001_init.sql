-- The run log. Times are microseconds since 1970; texts are '' rather than NULL.
PRAGMA application_id = 0x7474616d;

-- One row a run. Listed as a whole, so it stays narrow: the recipe lives apart.
CREATE TABLE run (
  row              INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given to another run
  id               TEXT NOT NULL UNIQUE,               -- text order is time order
  name             TEXT NOT NULL,
  state            INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5),  -- enum run_state; lost is never stored
  cause            TEXT NOT NULL DEFAULT '',
  method           TEXT NOT NULL DEFAULT '',
  model            TEXT NOT NULL DEFAULT '',
  task             TEXT NOT NULL DEFAULT '',
  host             TEXT NOT NULL DEFAULT '',
  boot_id          TEXT NOT NULL DEFAULT '',
  dir              TEXT NOT NULL DEFAULT '',
  parent           TEXT NOT NULL DEFAULT '',
  metric_key       TEXT NOT NULL DEFAULT '',
  created          INTEGER NOT NULL,
  started          INTEGER NOT NULL DEFAULT 0,
  ended            INTEGER NOT NULL DEFAULT 0,
  heartbeat        INTEGER NOT NULL DEFAULT 0,
  trashed          INTEGER NOT NULL DEFAULT 0,
  pid              INTEGER NOT NULL DEFAULT 0,
  pid_start        INTEGER NOT NULL DEFAULT 0,
  attempt          INTEGER NOT NULL DEFAULT 0,
  step             INTEGER NOT NULL DEFAULT 0,
  total_steps      INTEGER NOT NULL DEFAULT 0,
  steps_per_epoch  INTEGER NOT NULL DEFAULT 0,
  epoch            REAL NOT NULL DEFAULT 0,
  trainable_params INTEGER NOT NULL DEFAULT 0,
  total_params     INTEGER NOT NULL DEFAULT 0,
  best_greater     INTEGER NOT NULL DEFAULT 0,
  best_step        INTEGER,                            -- NULL: there is no best yet
  best_value       REAL
) STRICT;

CREATE TABLE recipe (
  run  INTEGER PRIMARY KEY,
  json TEXT NOT NULL
) STRICT;

CREATE TABLE attempt (
  run       INTEGER NOT NULL,
  attempt   INTEGER NOT NULL,
  from_step INTEGER NOT NULL,       -- older attempts count up to here only
  started   INTEGER NOT NULL,
  ended     INTEGER NOT NULL DEFAULT 0,
  state     INTEGER NOT NULL,
  pid       INTEGER NOT NULL,
  host      TEXT NOT NULL,
  cause     TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (run, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE key (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

-- One narrow row a value, clustered by curve. value NULL: not a number.
CREATE TABLE metric (
  run     INTEGER NOT NULL,
  key     INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  step    INTEGER NOT NULL,
  time    INTEGER NOT NULL,
  value   REAL,
  PRIMARY KEY (run, key, attempt, step)
) STRICT, WITHOUT ROWID;

-- Summaries of 64 steps (chunk = step / 64), rebuilt in the transaction that
-- writes their rows. low and high are of the finite values.
CREATE TABLE chunk (
  run        INTEGER NOT NULL,
  key        INTEGER NOT NULL,
  attempt    INTEGER NOT NULL,
  chunk      INTEGER NOT NULL,
  n          INTEGER NOT NULL,
  nans       INTEGER NOT NULL,
  infs       INTEGER NOT NULL,
  low        REAL,
  high       REAL,
  first      REAL,
  last       REAL,
  first_step INTEGER NOT NULL,
  last_step  INTEGER NOT NULL,
  PRIMARY KEY (run, key, attempt, chunk)
) STRICT, WITHOUT ROWID;

-- The latest value of every curve; by key first, since a list asks for few keys of many runs.
CREATE TABLE last (
  key   INTEGER NOT NULL,
  run   INTEGER NOT NULL,
  step  INTEGER NOT NULL,
  time  INTEGER NOT NULL,
  value REAL,
  low   REAL,
  high  REAL,
  PRIMARY KEY (key, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
  run  INTEGER NOT NULL,
  n    INTEGER NOT NULL,
  step INTEGER NOT NULL,
  time INTEGER NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE command (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  run     INTEGER NOT NULL,
  verb    TEXT NOT NULL,
  arg     TEXT NOT NULL,
  created INTEGER NOT NULL,
  taken   INTEGER NOT NULL DEFAULT 0,
  done    INTEGER NOT NULL DEFAULT 0,
  ok      INTEGER NOT NULL DEFAULT 0,
  answer  TEXT NOT NULL DEFAULT ''
) STRICT;
-- Only what still waits is looked for, so this index is all but empty.
CREATE INDEX command_open ON command (run, id) WHERE done = 0;

CREATE TABLE tag (
  run  INTEGER NOT NULL,
  word TEXT NOT NULL,
  PRIMARY KEY (run, word)
) STRICT, WITHOUT ROWID;

CREATE TABLE note (
  run  INTEGER PRIMARY KEY,
  text TEXT NOT NULL,
  time INTEGER NOT NULL
) STRICT;
