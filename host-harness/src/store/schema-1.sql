-- One file for the whole host. Keys that are looked up for every record are 16-byte digests in
-- tables without rowid; what is written once and read seldom (raw bodies, accepted records) lies
-- in blobs; the outbox has only partial indexes on its open rows.
-- Times are milliseconds of host time. "digest" is the first 16 bytes of a SHA-256.

-- Small facts about this file: salt, operator confirmations.
CREATE TABLE host (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- A Brevo account. People, consent, tombstones and rate budgets belong to it (design rule 15).
CREATE TABLE destination (
  id           INTEGER PRIMARY KEY,
  key          BLOB NOT NULL UNIQUE,      -- digest of its name in the configuration
  name         TEXT NOT NULL,
  paused_code  TEXT,                      -- why deliveries stand still, if they do
  paused_until INTEGER                    -- when they are tried again; null: an operator must act
);

CREATE TABLE installation (
  id              INTEGER PRIMARY KEY,
  key             BLOB NOT NULL UNIQUE,   -- digest of (tenant, connector, workspace, destination)
  tenant          TEXT NOT NULL,
  connector       TEXT NOT NULL,
  workspace       TEXT NOT NULL,
  destination     INTEGER NOT NULL REFERENCES destination(id),
  component       BLOB NOT NULL,          -- SHA-256 of the component
  settings        BLOB NOT NULL,          -- digest of the settings
  source          BLOB NOT NULL,          -- digest of the profile's source-key
  profile         TEXT NOT NULL,          -- JSON
  intake_token    TEXT NOT NULL UNIQUE    -- 128 random bits in hex; the webhook's address
);

-- Raw webhook bodies. Durable before the vendor gets its answer.
CREATE TABLE journal (
  id           INTEGER PRIMARY KEY,
  installation INTEGER NOT NULL,
  surface      TEXT NOT NULL,
  received_at  INTEGER NOT NULL,
  headers      TEXT NOT NULL,             -- JSON pairs, declared headers only
  body         BLOB NOT NULL,
  state        INTEGER NOT NULL DEFAULT 0, -- 0 queued, 1 done, 2 failed (kept, shown, replayable)
  attempts     INTEGER NOT NULL DEFAULT 0, -- counted when claimed, so a crash counts too
  due_at       INTEGER NOT NULL,
  code         TEXT
);
CREATE INDEX journal_queued ON journal (due_at, id) WHERE state = 0;

-- What was accepted: events by record id, observations of states by record id and observation.
CREATE TABLE accepted (
  key BLOB PRIMARY KEY,                   -- digest
  at  INTEGER NOT NULL                    -- when it happened; pruned past the dedupe horizon
) WITHOUT ROWID;

-- The current content of every state record.
CREATE TABLE state (
  key         BLOB PRIMARY KEY,           -- digest of the record id
  revision    INTEGER NOT NULL,
  content     BLOB NOT NULL,              -- digest of the canonical body
  at          INTEGER NOT NULL,
  rank        INTEGER NOT NULL,
  observation BLOB NOT NULL               -- digest
) WITHOUT ROWID;

-- Accepted and quarantined records of one unit, as one compressed JSON array.
CREATE TABLE batch (
  id           INTEGER PRIMARY KEY,
  installation INTEGER NOT NULL,
  journal      INTEGER,                   -- the webhook it came from, if any
  resource     TEXT,                      -- the resource it came from, if any
  at           INTEGER NOT NULL,
  records      BLOB NOT NULL
);

-- Sums of rule 13 for records, by installation.
CREATE TABLE tally (
  installation INTEGER NOT NULL,
  name         TEXT NOT NULL,             -- read, mapped, duplicate, superseded, skipped, ...
  count        INTEGER NOT NULL,
  PRIMARY KEY (installation, name)
) WITHOUT ROWID;

-- Whatever a person has to look at.
CREATE TABLE dead_letter (
  id           INTEGER PRIMARY KEY,
  installation INTEGER NOT NULL,
  stage        TEXT NOT NULL,             -- intake, read, map, deliver
  code         TEXT NOT NULL,
  actor        TEXT NOT NULL,             -- tenant, operator, connector-author, nobody
  message      TEXT NOT NULL,
  remedy       TEXT NOT NULL,
  journal      INTEGER,                   -- raw body
  pointer      TEXT,                      -- where in the raw body
  batch        INTEGER,                   -- record ...
  position     INTEGER,                   -- ... and its place in the batch
  action       INTEGER,                   -- action
  at           INTEGER NOT NULL,
  state        TEXT NOT NULL DEFAULT 'open', -- open, requeued, resolved
  closed_at    INTEGER
);
CREATE INDEX dead_letter_open ON dead_letter (installation, id) WHERE state = 'open';
CREATE INDEX dead_letter_requeued ON dead_letter (id) WHERE state = 'requeued';

-- The outbox and its ledger. A row is never deleted before retention ends.
CREATE TABLE action (
  id            INTEGER PRIMARY KEY,      -- also the order within a person's lane
  installation  INTEGER NOT NULL,
  destination   INTEGER NOT NULL,
  person        INTEGER,
  subject       TEXT NOT NULL,            -- JSON: the person or object as this record named it
  effect        BLOB NOT NULL,            -- digest of (installation key, record id, revision, slot)
  name          TEXT NOT NULL,            -- registry name, e.g. brevo/track-event
  payload       TEXT NOT NULL,            -- JSON by the registry's schema
  occurred_at   INTEGER,                  -- trusted time of the record
  received_at   INTEGER NOT NULL,
  rank          INTEGER NOT NULL,
  observation   BLOB NOT NULL,            -- digest; last tie-break
  not_before    INTEGER,
  not_after     INTEGER,
  coalesce_key  TEXT,
  batch         INTEGER NOT NULL,         -- the record it came from ...
  position      INTEGER NOT NULL,         -- ... and its place in the batch
  state         INTEGER NOT NULL DEFAULT 0, -- see store::outbox::State
  due_at        INTEGER,                  -- next try or next reconciliation; null: nothing by itself
  attempts      INTEGER NOT NULL DEFAULT 0,
  attempted_at  INTEGER,                  -- start of the latest call
  code          TEXT,                     -- why it stands where it stands
  intent        TEXT                      -- JSON: progress of an effect of several calls
);
CREATE INDEX action_due ON action (destination, due_at) WHERE state IN (0, 1, 8, 9) AND due_at IS NOT NULL;
CREATE INDEX action_in_flight ON action (destination) WHERE state = 1;
CREATE INDEX action_lane ON action (person, id) WHERE state IN (0, 1, 8, 9);

-- Every effect ever admitted to the outbox: replays and requeues end here.
CREATE TABLE effect (
  key    BLOB PRIMARY KEY,
  action INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE person (
  id           INTEGER PRIMARY KEY,
  destination  INTEGER NOT NULL,
  brevo_id     INTEGER,                   -- Brevo's numeric contact id
  presence     INTEGER NOT NULL DEFAULT 0, -- 0 never looked up, 1 at Brevo, 2 not at Brevo, 3 was delivered and is gone
  looked_at    INTEGER,                   -- when presence was last looked up
  desired      TEXT NOT NULL DEFAULT '{}', -- JSON: field -> [[time, rank, observation], digest of value]; folded at commit
  fields       TEXT NOT NULL DEFAULT '{}', -- JSON: attribute -> [time, rank, observation, digest of value]; delivered
  refused      TEXT NOT NULL DEFAULT '{}' -- JSON: address attribute -> digest of the value that Brevo refused
);
CREATE INDEX person_contact ON person (destination, brevo_id) WHERE brevo_id IS NOT NULL;

-- Names of people. External ids and aliases point to one person, addresses may be shared.
CREATE TABLE identity (
  destination INTEGER NOT NULL,
  kind        TEXT NOT NULL,              -- external-id, email, phone, or alias:<kind>
  value       TEXT NOT NULL,
  person      INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  PRIMARY KEY (destination, kind, value, person)
) WITHOUT ROWID;
CREATE INDEX identity_person ON identity (person);

-- Consent and suppression are two things; both are kept when the effect at Brevo is still open.
-- Each column pair is the newest of its kind, so the order in which news arrives changes nothing.
CREATE TABLE consent (
  person           INTEGER NOT NULL,
  channel          TEXT NOT NULL,         -- email, sms
  signal           TEXT,                  -- newest dated act of the person: opted-in, opted-out
  signal_at        INTEGER,
  flag             TEXT,                  -- newest flag on a profile: opted-in, opted-out
  flag_at          INTEGER,
  opted_out_at     INTEGER,               -- newest opt-out of either kind
  suppressed       TEXT,                  -- hard-bounce, complaint (the stronger)
  suppressed_at    INTEGER,
  block_written_at INTEGER,               -- when this host set the block at Brevo; null: not ours
  PRIMARY KEY (person, channel)
) WITHOUT ROWID;

-- Erased people, by salted hash of their names. They stay erased.
CREATE TABLE tombstone (
  destination INTEGER NOT NULL,
  key         BLOB NOT NULL,
  at          INTEGER NOT NULL,
  PRIMARY KEY (destination, key)
) WITHOUT ROWID;

-- Where each resource stands.
CREATE TABLE cursor (
  installation INTEGER NOT NULL,
  resource     TEXT NOT NULL,
  source       BLOB NOT NULL,             -- digest of the source-key it was made under
  version      INTEGER NOT NULL,
  bytes        BLOB NOT NULL,
  PRIMARY KEY (installation, resource)
) WITHOUT ROWID;

-- Due work: one row for each resource, and one for each extra job.
CREATE TABLE job (
  id           INTEGER PRIMARY KEY,
  installation INTEGER NOT NULL,
  key          TEXT NOT NULL,             -- 'resource:<name>' or 'job:<guest key>'
  resource     TEXT NOT NULL,
  position     TEXT NOT NULL,             -- JSON; 'cursor' means: read the cursor table
  due_at       INTEGER,                   -- null: only on request
  attempts     INTEGER NOT NULL DEFAULT 0,
  running      INTEGER NOT NULL DEFAULT 0,
  finished_at  INTEGER,
  result       TEXT,                      -- complete, truncated, failed
  code         TEXT,
  UNIQUE (installation, key)
);

-- Plugin storage.
CREATE TABLE kv (
  installation INTEGER NOT NULL,
  key          TEXT NOT NULL,
  value        BLOB NOT NULL,
  version      INTEGER NOT NULL,
  PRIMARY KEY (installation, key)
) WITHOUT ROWID;

-- Rate windows, kept ahead of time and across restarts.
CREATE TABLE rate (
  bucket TEXT PRIMARY KEY,                -- e.g. brevo:<destination>:contacts
  state  TEXT NOT NULL                    -- JSON
) WITHOUT ROWID;
