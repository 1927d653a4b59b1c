-- What is written where there is no account to write to, so that both take the same time.

CREATE TABLE auth_dummy_writes (
    slot   BIGINT NOT NULL PRIMARY KEY,
    writes BIGINT NOT NULL
);
