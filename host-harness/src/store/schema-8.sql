-- Deletes (design rule 9).

-- What an address had refused outlives the erasure of whoever had it: Brevo forgets a block with the
-- contact, so it is kept here. Names of one erased person hang together.
ALTER TABLE tombstone ADD COLUMN person INTEGER;                     -- row that was erased; null: of an older host
ALTER TABLE tombstone ADD COLUMN refuses INTEGER NOT NULL DEFAULT 1; -- 0: somebody else's too, or let in again; only the rest holds
ALTER TABLE tombstone ADD COLUMN opted_out_at INTEGER;               -- null: no opt-out held for the address
ALTER TABLE tombstone ADD COLUMN suppressed TEXT;                    -- hard-bounce, complaint
ALTER TABLE tombstone ADD COLUMN suppressed_at INTEGER;
CREATE INDEX tombstone_person ON tombstone (person) WHERE person IS NOT NULL;

-- Erased people whose closed actions and kept records are still to be blanked by the next pruning.
CREATE TABLE erasure (
  person INTEGER PRIMARY KEY,
  at     INTEGER NOT NULL
);

-- People whose contact was deleted: what happened before has no effect any more, whenever it comes.
CREATE TABLE deletion (
  person INTEGER PRIMARY KEY,
  at     INTEGER NOT NULL                  -- trusted time of the newest deletion
);

-- For the cap: deletes of an installation by day.
CREATE INDEX action_deletes ON action (installation, received_at) WHERE name = 'brevo/delete-contact';
