-- The last generation whose refresh token was presented: NULL until one was answered without a rotation.
ALTER TABLE auth_sessions ADD COLUMN presented BIGINT;
