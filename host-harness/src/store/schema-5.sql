-- Actions about things: products, objects, notes and tasks without a person.
ALTER TABLE action ADD COLUMN thing BLOB; -- digest of (destination, kind, key); their lane
CREATE INDEX action_thing ON action (thing, id) WHERE thing IS NOT NULL AND state IN (0, 1, 8, 9);
