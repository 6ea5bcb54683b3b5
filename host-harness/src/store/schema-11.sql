-- What each installation has that is bounded (see src/quotas.rs). Triggers count it, so that nothing which
-- changes a table can forget to. Of a body only the length is read.
CREATE TABLE usage (
  installation  INTEGER PRIMARY KEY,
  webhooks      INTEGER NOT NULL DEFAULT 0, -- journal: queued
  webhook_bytes INTEGER NOT NULL DEFAULT 0, -- bytes of their bodies
  letters       INTEGER NOT NULL DEFAULT 0, -- dead_letter: open
  waiting       INTEGER NOT NULL DEFAULT 0, -- action: waiting and in flight
  open          INTEGER NOT NULL DEFAULT 0, -- action: waiting, in flight, held and parked
  keys          INTEGER NOT NULL DEFAULT 0  -- kv
);
INSERT INTO usage (installation) SELECT id FROM installation;
INSERT INTO usage (installation, webhooks, webhook_bytes)
  SELECT installation, count(*), sum(length(body)) FROM journal WHERE state = 0 GROUP BY installation
  ON CONFLICT (installation) DO UPDATE SET webhooks = excluded.webhooks, webhook_bytes = excluded.webhook_bytes;
INSERT INTO usage (installation, letters)
  SELECT installation, count(*) FROM dead_letter WHERE state = 'open' GROUP BY installation
  ON CONFLICT (installation) DO UPDATE SET letters = excluded.letters;
INSERT INTO usage (installation, waiting, open)
  SELECT installation, sum(state IN (0, 1)), count(*) FROM action WHERE state IN (0, 1, 8, 9) GROUP BY installation
  ON CONFLICT (installation) DO UPDATE SET waiting = excluded.waiting, open = excluded.open;
INSERT INTO usage (installation, keys)
  SELECT installation, count(*) FROM kv WHERE true GROUP BY installation
  ON CONFLICT (installation) DO UPDATE SET keys = excluded.keys;

CREATE TRIGGER usage_webhook_comes AFTER INSERT ON journal WHEN NEW.state = 0 BEGIN
  INSERT INTO usage (installation, webhooks, webhook_bytes) VALUES (NEW.installation, 1, (SELECT length(body) FROM journal WHERE id = NEW.id))
  ON CONFLICT (installation) DO UPDATE SET webhooks = webhooks + excluded.webhooks, webhook_bytes = webhook_bytes + excluded.webhook_bytes;
END;
CREATE TRIGGER usage_webhook_ends AFTER UPDATE OF state ON journal WHEN OLD.state = 0 AND NEW.state <> 0 BEGIN
  INSERT INTO usage (installation, webhooks, webhook_bytes) VALUES (NEW.installation, -1, -(SELECT length(body) FROM journal WHERE id = NEW.id))
  ON CONFLICT (installation) DO UPDATE SET webhooks = webhooks + excluded.webhooks, webhook_bytes = webhook_bytes + excluded.webhook_bytes;
END;
CREATE TRIGGER usage_webhook_again AFTER UPDATE OF state ON journal WHEN OLD.state <> 0 AND NEW.state = 0 BEGIN
  INSERT INTO usage (installation, webhooks, webhook_bytes) VALUES (NEW.installation, 1, (SELECT length(body) FROM journal WHERE id = NEW.id))
  ON CONFLICT (installation) DO UPDATE SET webhooks = webhooks + excluded.webhooks, webhook_bytes = webhook_bytes + excluded.webhook_bytes;
END;
CREATE TRIGGER usage_webhook_goes BEFORE DELETE ON journal WHEN OLD.state = 0 BEGIN
  INSERT INTO usage (installation, webhooks, webhook_bytes) VALUES (OLD.installation, -1, -(SELECT length(body) FROM journal WHERE id = OLD.id))
  ON CONFLICT (installation) DO UPDATE SET webhooks = webhooks + excluded.webhooks, webhook_bytes = webhook_bytes + excluded.webhook_bytes;
END;

CREATE TRIGGER usage_letter_comes AFTER INSERT ON dead_letter WHEN NEW.state = 'open' BEGIN
  INSERT INTO usage (installation, letters) VALUES (NEW.installation, 1)
  ON CONFLICT (installation) DO UPDATE SET letters = letters + excluded.letters;
END;
CREATE TRIGGER usage_letter_changes AFTER UPDATE OF state ON dead_letter WHEN (OLD.state = 'open') <> (NEW.state = 'open') BEGIN
  INSERT INTO usage (installation, letters) VALUES (NEW.installation, (NEW.state = 'open') - (OLD.state = 'open'))
  ON CONFLICT (installation) DO UPDATE SET letters = letters + excluded.letters;
END;
CREATE TRIGGER usage_letter_goes AFTER DELETE ON dead_letter WHEN OLD.state = 'open' BEGIN
  INSERT INTO usage (installation, letters) VALUES (OLD.installation, -1)
  ON CONFLICT (installation) DO UPDATE SET letters = letters + excluded.letters;
END;

CREATE TRIGGER usage_action_comes AFTER INSERT ON action WHEN NEW.state IN (0, 1, 8, 9) BEGIN
  INSERT INTO usage (installation, waiting, open) VALUES (NEW.installation, NEW.state IN (0, 1), 1)
  ON CONFLICT (installation) DO UPDATE SET waiting = waiting + excluded.waiting, open = open + excluded.open;
END;
CREATE TRIGGER usage_action_changes AFTER UPDATE OF state ON action WHEN (OLD.state IN (0, 1)) <> (NEW.state IN (0, 1)) OR (OLD.state IN (8, 9)) <> (NEW.state IN (8, 9)) BEGIN
  INSERT INTO usage (installation, waiting, open) VALUES (NEW.installation, (NEW.state IN (0, 1)) - (OLD.state IN (0, 1)), (NEW.state IN (0, 1, 8, 9)) - (OLD.state IN (0, 1, 8, 9)))
  ON CONFLICT (installation) DO UPDATE SET waiting = waiting + excluded.waiting, open = open + excluded.open;
END;
CREATE TRIGGER usage_action_goes AFTER DELETE ON action WHEN OLD.state IN (0, 1, 8, 9) BEGIN
  INSERT INTO usage (installation, waiting, open) VALUES (OLD.installation, -(OLD.state IN (0, 1)), -1)
  ON CONFLICT (installation) DO UPDATE SET waiting = waiting + excluded.waiting, open = open + excluded.open;
END;

CREATE TRIGGER usage_key_comes AFTER INSERT ON kv BEGIN
  INSERT INTO usage (installation, keys) VALUES (NEW.installation, 1)
  ON CONFLICT (installation) DO UPDATE SET keys = keys + excluded.keys;
END;
CREATE TRIGGER usage_key_goes AFTER DELETE ON kv BEGIN
  INSERT INTO usage (installation, keys) VALUES (OLD.installation, -1)
  ON CONFLICT (installation) DO UPDATE SET keys = keys + excluded.keys;
END;
