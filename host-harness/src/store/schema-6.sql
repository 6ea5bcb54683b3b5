-- One budget for one account: live consent and sends first, then live news, then what came in bulk.
ALTER TABLE action ADD COLUMN class INTEGER NOT NULL DEFAULT 1; -- see store::outbox::Class
ALTER TABLE action ADD COLUMN import INTEGER;                   -- the import that it rides in
DROP INDEX action_in_flight;
CREATE INDEX action_in_flight ON action (destination) WHERE state = 1 AND import IS NULL;
CREATE INDEX action_next ON action (destination, class, name, due_at) WHERE state = 0 AND due_at IS NOT NULL;
CREATE INDEX action_parked ON action (destination, due_at) WHERE state = 9 AND due_at IS NOT NULL;
CREATE INDEX action_expiry ON action (destination, not_after) WHERE state IN (0, 8) AND not_after IS NOT NULL;
CREATE INDEX action_import ON action (import, id) WHERE import IS NOT NULL AND state = 1;

-- Imports of many contacts in one call: at most one of an account is under way.
CREATE TABLE import (
  id            INTEGER PRIMARY KEY,
  destination   INTEGER NOT NULL,
  installation  INTEGER NOT NULL,
  list          INTEGER NOT NULL,            -- the host's own list, as Brevo numbers it
  email_blocked INTEGER NOT NULL,            -- every row is blocked for e-mail
  sms_blocked   INTEGER NOT NULL,            -- every row is blocked for text messages
  rows          INTEGER NOT NULL,
  begun_at      INTEGER NOT NULL,
  state         INTEGER NOT NULL,            -- 0 sending, 1 at work, 2 reading what came of it, 3 over
  process       INTEGER,                     -- Brevo's number; null: not known
  polls         INTEGER NOT NULL DEFAULT 0,  -- looks at the process
  next_at       INTEGER NOT NULL,            -- when it goes on
  since         INTEGER NOT NULL,            -- by Brevo's clock: what it did came not before that
  position      INTEGER NOT NULL DEFAULT 0,  -- contacts that were read back
  reports       TEXT NOT NULL DEFAULT '[]',  -- JSON: addresses of Brevo's lists of refused rows
  result        TEXT                         -- how Brevo says that it ended
);
CREATE UNIQUE INDEX import_open ON import (destination) WHERE state < 3;
