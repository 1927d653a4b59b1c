-- Accounts that their owners closed, and sign-ups whose mailboxes nobody verified.

ALTER TABLE auth_users ADD COLUMN deactivated_at INTEGER; -- with the status `deactivated`: when the owner closed it
ALTER TABLE auth_users ADD COLUMN claim TEXT NOT NULL DEFAULT 'unknown'; -- sign_up, settled, unknown (older rows)
ALTER TABLE auth_users ADD COLUMN signed_up_from TEXT; -- with the claim `sign_up`: the client address
UPDATE auth_users SET claim = 'settled' WHERE email_verified_at IS NOT NULL;

-- Rows to purge, by age.
CREATE INDEX auth_users_unverified ON auth_users (created_at) WHERE claim = 'sign_up';
CREATE INDEX auth_users_deactivated ON auth_users (deactivated_at) WHERE status = 'deactivated';
-- Few of many accounts are super-users'.
CREATE INDEX auth_users_superusers ON auth_users (tenant, id) WHERE instr(attributes, '"is_superuser":true') > 0;
