-- Tries at the second step of a pending session. One without an account has an empty user_id.
ALTER TABLE auth_pending_sessions ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
