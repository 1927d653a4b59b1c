-- The client that a session was made for, and the name of its device. Rows of earlier builds have address and agent in
-- their context.
ALTER TABLE auth_sessions ADD COLUMN address TEXT;
ALTER TABLE auth_sessions ADD COLUMN agent TEXT; -- the `User-Agent`, 256 bytes of it
ALTER TABLE auth_sessions ADD COLUMN device_name TEXT; -- the user's
-- The sessions of a user, newest first, page by page.
DROP INDEX auth_sessions_user;
CREATE INDEX auth_sessions_user ON auth_sessions (tenant, user_id, created_at, id);
