-- Lists at Brevo and who is to be in them. Like people they belong to the account: two connectors
-- that name the same list mean the same list.
CREATE TABLE list (
  id              INTEGER PRIMARY KEY,
  destination     INTEGER NOT NULL,
  key             BLOB NOT NULL,            -- digest of how the payload names it
  name            TEXT,                     -- these two: null where it is named by Brevo's number
  folder          TEXT,
  brevo_id        INTEGER,                  -- Brevo's number; null: not looked for yet
  inert           INTEGER NOT NULL,         -- the tenant's latest word: a join starts nothing
  generation      INTEGER NOT NULL DEFAULT 1, -- the full run that holds
  last_generation INTEGER NOT NULL DEFAULT 1, -- numbers are not used again
  filling_since   INTEGER,                  -- a new generation is being filled since; null: none is
  holds_since     INTEGER,                  -- when the full run that holds began; null: none was confirmed
  heard_at        INTEGER NOT NULL,         -- when anything about it last came, to the minute
  stopped_code    TEXT,                     -- why nothing is delivered to it until an operator's word
  retry_at        INTEGER,                  -- not to be looked for at Brevo before
  failures        INTEGER NOT NULL DEFAULT 0, -- looks in a row that came to nothing
  creating_at     INTEGER,                  -- a call that creates it or its folder was sent, its outcome not yet seen
  UNIQUE (destination, key)
);
CREATE UNIQUE INDEX list_at_brevo ON list (destination, brevo_id)
  WHERE brevo_id IS NOT NULL AND stopped_code IS NOT 'list-named-twice';

-- One row for each list and person that a record spoke of. The newest word holds.
CREATE TABLE membership (
  list         INTEGER NOT NULL,
  person       INTEGER NOT NULL,
  wanted       INTEGER NOT NULL,            -- 1 member, 0 not
  at           INTEGER NOT NULL,            -- these three: place of the newest word in history
  rank         INTEGER NOT NULL,
  observation  BLOB NOT NULL,               -- digest
  generation   INTEGER NOT NULL,            -- in which a word last said that they are a member
  delivered    INTEGER,                     -- 1 in the list at Brevo, 0 not; null: nothing is proven
  installation INTEGER NOT NULL,            -- whose the newest word is
  PRIMARY KEY (list, person)
) WITHOUT ROWID;
CREATE INDEX membership_person ON membership (person);

ALTER TABLE action ADD COLUMN list INTEGER; -- of a join or leave
CREATE INDEX action_list ON action (list, person) WHERE list IS NOT NULL AND state IN (0, 1, 8, 9);
