-- What an operator sees of a run while it goes on, and under which source settings a job's own
-- cursor was made.
ALTER TABLE job ADD COLUMN source BLOB;                       -- digest; null: no cursor of its own yet
ALTER TABLE job ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0; -- deaths of the host in a row while it ran
ALTER TABLE job ADD COLUMN started_at INTEGER;                -- of the present or last run
ALTER TABLE job ADD COLUMN pages INTEGER NOT NULL DEFAULT 0;  -- these four: of the same run
ALTER TABLE job ADD COLUMN records INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN rejects INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN progress INTEGER;                  -- parts per million; null: not said

-- Bytes of keys and values that an installation keeps, so that its quota needs no look at all of them.
CREATE TABLE kv_size (installation INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
INSERT INTO kv_size SELECT installation, sum(length(CAST(key AS BLOB)) + length(value)) FROM kv GROUP BY installation;
