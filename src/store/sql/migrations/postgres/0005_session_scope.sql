-- The scope of a session, apart from how its user proved who they are, and the time at which each method was shown.
-- A row without a known scope opens nothing.
ALTER TABLE auth_sessions ADD COLUMN scope TEXT COLLATE "C" NOT NULL DEFAULT ''; -- full, enrol_factor
ALTER TABLE auth_sessions ADD COLUMN method_times TEXT COLLATE "C" NOT NULL DEFAULT '{}'; -- JSON: {"password": time}
-- Bit 8 of the methods was the restriction, bit 1 is the password. When a code was shown was not kept.
UPDATE auth_sessions SET
    scope = CASE WHEN methods & 8 <> 0 THEN 'enrol_factor' ELSE 'full' END,
    method_times = CASE WHEN methods & 1 <> 0 THEN '{"password":' ELSE '{"vouched":' END || auth_time || '}',
    methods = methods & 7;
