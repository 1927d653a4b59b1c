-- Identifiers of users are opaque texts, all other ids are UUIDs of 16 bytes; times are microseconds since 1970 (UTC).
-- No table refers to another one by a foreign key: deletion is an explicit verb. Texts compare byte by byte, whatever the
-- language of the database: pages and feeds go by the order of identifiers, and addresses that look alike differ.

CREATE TABLE auth_users (
    tenant               TEXT COLLATE "C" NOT NULL,
    id                   TEXT COLLATE "C" NOT NULL,
    email                TEXT COLLATE "C" NOT NULL, -- canonical
    username             TEXT COLLATE "C", -- canonical
    email_verified_at    BIGINT,
    status               TEXT COLLATE "C" NOT NULL, -- active, disabled, deleted
    password_hash        TEXT COLLATE "C",
    token_version        BIGINT NOT NULL,
    factors              TEXT COLLATE "C" NOT NULL, -- JSON: [{"credential": uuid, "kind": text}]
    consecutive_failures BIGINT NOT NULL,
    attributes           TEXT COLLATE "C" NOT NULL, -- JSON object of the application
    created_at           BIGINT NOT NULL,
    last_login_at        BIGINT,
    changed_at           BIGINT NOT NULL, -- the store's clock
    revision             BIGINT NOT NULL,
    recoveries           TEXT COLLATE "C" NOT NULL, -- JSON: [[from version, to version, at]]
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX auth_users_email ON auth_users (tenant, email);
CREATE UNIQUE INDEX auth_users_username ON auth_users (tenant, username) WHERE username IS NOT NULL;
CREATE INDEX auth_users_changed ON auth_users (changed_at, tenant, id);
CREATE INDEX auth_users_deleted ON auth_users (changed_at) WHERE status = 'deleted';

CREATE TABLE auth_credentials (
    id                   BYTEA NOT NULL PRIMARY KEY,
    tenant               TEXT COLLATE "C" NOT NULL,
    user_id              TEXT COLLATE "C" NOT NULL,
    kind                 TEXT COLLATE "C" NOT NULL,
    lookup_key           BYTEA,
    version              BIGINT NOT NULL, -- of the payload's form
    payload              BYTEA NOT NULL,
    consecutive_failures BIGINT NOT NULL,
    revision             BIGINT NOT NULL
);
CREATE INDEX auth_credentials_user ON auth_credentials (tenant, user_id);
CREATE UNIQUE INDEX auth_credentials_lookup ON auth_credentials (tenant, kind, lookup_key)
    WHERE lookup_key IS NOT NULL;

CREATE TABLE auth_sessions (
    id              BYTEA NOT NULL PRIMARY KEY,
    tenant          TEXT COLLATE "C" NOT NULL,
    user_id         TEXT COLLATE "C" NOT NULL,
    token_version   BIGINT NOT NULL,
    generation      BIGINT NOT NULL,
    rotated_at      BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    last_seen_at    BIGINT NOT NULL,
    idle_expires_at BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    auth_time       BIGINT NOT NULL,
    methods         BIGINT NOT NULL, -- bits
    channel         TEXT COLLATE "C" NOT NULL, -- cookie, header
    context         TEXT COLLATE "C" NOT NULL, -- JSON
    slot            BIGINT,
    revoked_at      BIGINT,
    changed_at      BIGINT NOT NULL -- the store's clock
);
CREATE INDEX auth_sessions_user ON auth_sessions (tenant, user_id);
-- An ended session gives its slot back, though its row has to stay for a while.
CREATE UNIQUE INDEX auth_sessions_slot ON auth_sessions (tenant, user_id, slot)
    WHERE slot IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX auth_sessions_revoked ON auth_sessions (changed_at, id) WHERE revoked_at IS NOT NULL;

CREATE TABLE auth_pending_sessions (
    id_hash       BYTEA NOT NULL PRIMARY KEY,
    purpose       TEXT COLLATE "C" NOT NULL,
    tenant        TEXT COLLATE "C" NOT NULL,
    user_id       TEXT COLLATE "C" NOT NULL,
    revision      BIGINT NOT NULL, -- of the user row that was checked
    token_version BIGINT NOT NULL, -- likewise
    version       BIGINT NOT NULL, -- of the payload's form
    payload       BYTEA NOT NULL,
    expires_at    BIGINT NOT NULL
);
CREATE INDEX auth_pending_sessions_expiry ON auth_pending_sessions (expires_at);

CREATE TABLE auth_mail_outbox (
    id            BYTEA NOT NULL PRIMARY KEY,
    tenant        TEXT COLLATE "C" NOT NULL,
    address       TEXT COLLATE "C" NOT NULL,
    user_id       TEXT COLLATE "C" NOT NULL, -- empty: whoever has the address
    token_version BIGINT NOT NULL,
    purpose       TEXT COLLATE "C" NOT NULL,
    locale        TEXT COLLATE "C" NOT NULL,
    state         TEXT COLLATE "C" NOT NULL, -- waiting, leased, dead
    due_at        BIGINT NOT NULL, -- waiting: not to be sent before; leased: the end of the lease
    tries         BIGINT NOT NULL,
    dead_reason   TEXT COLLATE "C",
    created_at    BIGINT NOT NULL
);
-- What waits for the same address, purpose and matter is one mail.
CREATE UNIQUE INDEX auth_mail_outbox_waiting ON auth_mail_outbox (tenant, address, purpose, user_id, token_version)
    WHERE state = 'waiting';
CREATE INDEX auth_mail_outbox_due ON auth_mail_outbox (due_at, created_at, id) WHERE state <> 'dead';
CREATE INDEX auth_mail_outbox_dead ON auth_mail_outbox (state, created_at, id) WHERE state = 'dead';

CREATE TABLE auth_attempts (
    key      BYTEA NOT NULL PRIMARY KEY, -- a digest of what is counted
    attempts BIGINT NOT NULL,
    ends_at  BIGINT NOT NULL -- the end of the window
);
CREATE INDEX auth_attempts_end ON auth_attempts (ends_at);
