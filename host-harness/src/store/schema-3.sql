-- Keys that a vendor refuses, and what stands still until they are right.
CREATE TABLE key_pause (
  id           INTEGER PRIMARY KEY,
  installation INTEGER NOT NULL,
  slot         TEXT NOT NULL,
  resource     TEXT,                      -- the only one that is concerned; null: all that need the slot
  resources    TEXT NOT NULL,             -- JSON array: what stands still
  scope        TEXT,                      -- the permission that is missing, where one is
  code         TEXT NOT NULL,
  actor        TEXT NOT NULL,
  message      TEXT NOT NULL,
  remedy       TEXT NOT NULL,
  since        INTEGER NOT NULL,
  retry_at     INTEGER NOT NULL,          -- when one job is let through to find out
  retries      INTEGER NOT NULL DEFAULT 0,
  probe        INTEGER,                   -- the job that is let through
  letter       INTEGER NOT NULL           -- the dead letter that was written with it
);
CREATE UNIQUE INDEX key_pause_of ON key_pause (installation, slot, coalesce(resource, ''));
