-- Identifiers of users are opaque texts, all other ids are UUIDs of 16 bytes; times are microseconds since 1970 (UTC).
-- No table refers to another one by a foreign key: deletion is an explicit verb.

CREATE TABLE auth_users (
    tenant               TEXT NOT NULL,
    id                   TEXT NOT NULL,
    email                TEXT NOT NULL, -- canonical
    username             TEXT, -- canonical
    email_verified_at    INTEGER,
    status               TEXT NOT NULL, -- active, disabled, deleted
    password_hash        TEXT,
    token_version        INTEGER NOT NULL,
    factors              TEXT NOT NULL, -- JSON: [{"credential": uuid, "kind": text}]
    consecutive_failures INTEGER NOT NULL,
    attributes           TEXT NOT NULL, -- JSON object of the application
    created_at           INTEGER NOT NULL,
    last_login_at        INTEGER,
    changed_at           INTEGER NOT NULL, -- the store's clock
    revision             INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE UNIQUE INDEX auth_users_email ON auth_users (tenant, email);
CREATE UNIQUE INDEX auth_users_username ON auth_users (tenant, username) WHERE username IS NOT NULL;
CREATE INDEX auth_users_changed ON auth_users (changed_at, tenant, id);

CREATE TABLE auth_credentials (
    id                   BLOB NOT NULL PRIMARY KEY,
    tenant               TEXT NOT NULL,
    user_id              TEXT NOT NULL,
    kind                 TEXT NOT NULL,
    lookup_key           BLOB,
    version              INTEGER NOT NULL, -- of the payload's form
    payload              BLOB NOT NULL,
    consecutive_failures INTEGER NOT NULL,
    revision             INTEGER NOT NULL
) STRICT;
CREATE INDEX auth_credentials_user ON auth_credentials (tenant, user_id);
CREATE UNIQUE INDEX auth_credentials_lookup ON auth_credentials (tenant, kind, lookup_key)
    WHERE lookup_key IS NOT NULL;

CREATE TABLE auth_sessions (
    id              BLOB NOT NULL PRIMARY KEY,
    tenant          TEXT NOT NULL,
    user_id         TEXT NOT NULL,
    token_version   INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    rotated_at      INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    last_seen_at    INTEGER NOT NULL,
    idle_expires_at INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    auth_time       INTEGER NOT NULL,
    methods         INTEGER NOT NULL, -- bits
    channel         TEXT NOT NULL, -- cookie, header
    context         TEXT NOT NULL, -- JSON
    slot            INTEGER,
    revoked_at      INTEGER,
    changed_at      INTEGER NOT NULL -- the store's clock
) STRICT;
CREATE INDEX auth_sessions_user ON auth_sessions (tenant, user_id);
-- An ended session gives its slot back, though its row has to stay for a while.
CREATE UNIQUE INDEX auth_sessions_slot ON auth_sessions (tenant, user_id, slot)
    WHERE slot IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX auth_sessions_revoked ON auth_sessions (changed_at, id) WHERE revoked_at IS NOT NULL;

CREATE TABLE auth_pending_sessions (
    id_hash       BLOB NOT NULL PRIMARY KEY,
    purpose       TEXT NOT NULL,
    tenant        TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    revision      INTEGER NOT NULL, -- of the user row that was checked
    token_version INTEGER NOT NULL, -- likewise
    payload       BLOB NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX auth_pending_sessions_expiry ON auth_pending_sessions (expires_at);

CREATE TABLE auth_mail_outbox (
    id          BLOB NOT NULL PRIMARY KEY,
    tenant      TEXT NOT NULL,
    address     TEXT NOT NULL,
    purpose     TEXT NOT NULL,
    locale      TEXT NOT NULL,
    state       TEXT NOT NULL, -- waiting, leased, dead
    due_at      INTEGER NOT NULL, -- waiting: not to be sent before; leased: the end of the lease
    tries       INTEGER NOT NULL,
    dead_reason TEXT,
    created_at  INTEGER NOT NULL
) STRICT;
-- What waits for the same address and purpose is one mail.
CREATE UNIQUE INDEX auth_mail_outbox_waiting ON auth_mail_outbox (tenant, address, purpose) WHERE state = 'waiting';
CREATE INDEX auth_mail_outbox_due ON auth_mail_outbox (due_at, created_at, id) WHERE state <> 'dead';
CREATE INDEX auth_mail_outbox_dead ON auth_mail_outbox (state, created_at, id) WHERE state = 'dead';

CREATE TABLE auth_attempts (
    key      BLOB NOT NULL PRIMARY KEY, -- a digest of what is counted
    attempts INTEGER NOT NULL,
    ends_at  INTEGER NOT NULL -- the end of the window
) STRICT;
CREATE INDEX auth_attempts_end ON auth_attempts (ends_at);
