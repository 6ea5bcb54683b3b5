-- Addresses of which something was said without naming whose they are. Consent keeps it under a row of
-- its own, so that it holds for whoever has the address, whenever they come to have it.
CREATE TABLE mailbox (
  destination INTEGER NOT NULL,
  kind        TEXT NOT NULL,              -- email or phone
  value       TEXT NOT NULL,              -- as in identity
  person      INTEGER NOT NULL,           -- row of person; nobody is that person
  PRIMARY KEY (destination, kind, value)
) WITHOUT ROWID;

-- People who turned out to be part of another one while a call was under way: they become it when the
-- call has ended.
CREATE TABLE merging (
  person      INTEGER PRIMARY KEY,
  into_person INTEGER NOT NULL
);
