-- Payloads of pending sessions have a form with a version, as those of credentials do.

ALTER TABLE auth_pending_sessions ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
-- Accounts that are marked as deleted, for their removal.
CREATE INDEX auth_users_deleted ON auth_users (changed_at) WHERE status = 'deleted';
