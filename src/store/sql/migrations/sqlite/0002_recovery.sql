-- What the owner of an account took back by the links of notices, and the accounts that mails are about.

ALTER TABLE auth_users ADD COLUMN recoveries TEXT NOT NULL DEFAULT '[]'; -- JSON: [[from version, to version, at]]

ALTER TABLE auth_mail_outbox ADD COLUMN user_id TEXT NOT NULL DEFAULT ''; -- empty: whoever has the address
ALTER TABLE auth_mail_outbox ADD COLUMN token_version INTEGER NOT NULL DEFAULT 0;
DROP INDEX auth_mail_outbox_waiting;
-- What waits for the same address, purpose and matter is one mail.
CREATE UNIQUE INDEX auth_mail_outbox_waiting ON auth_mail_outbox (tenant, address, purpose, user_id, token_version)
    WHERE state = 'waiting';
