-- Where the current content of a state lies, so that it can be mapped again.
ALTER TABLE state ADD COLUMN batch INTEGER;    -- null: accepted before this was noted, and not kept
ALTER TABLE state ADD COLUMN position INTEGER; -- its place in the batch

-- Mapping everything again after a mapping was corrected: the last time for each installation, or
-- the one that is under way.
CREATE TABLE remap (
  installation INTEGER PRIMARY KEY,
  mapping      BLOB NOT NULL,             -- digest of component and settings that it maps with
  batch        INTEGER NOT NULL DEFAULT 0, -- these two: the record that was looked at last
  position     INTEGER NOT NULL DEFAULT -1,
  last_batch   INTEGER NOT NULL,          -- whatever came later was mapped with these settings already
  started_at   INTEGER NOT NULL,
  finished_at  INTEGER,                   -- null: under way
  code         TEXT,                      -- why it stopped, where it did not come to its end
  counts       TEXT NOT NULL DEFAULT '{}' -- JSON
);
