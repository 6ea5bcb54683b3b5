-- Turns of tenants: what each has waiting, the oldest first, is found without a look at what the others
-- have.
DROP INDEX journal_queued;
CREATE INDEX journal_queued ON journal (installation, due_at, id) WHERE state = 0;
DROP INDEX dead_letter_requeued;
CREATE INDEX dead_letter_requeued ON dead_letter (installation, id) WHERE state = 'requeued';
CREATE INDEX job_due ON job (due_at, installation) WHERE due_at IS NOT NULL;
CREATE INDEX job_turn ON job (installation, due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX job_running ON job (installation, resource) WHERE running = 1;
