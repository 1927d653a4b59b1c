-- Addresses as their owners typed them: NULL where that is the key itself. Keys in other scripts are folded anew by the
-- build that runs this.
ALTER TABLE auth_users ADD COLUMN email_spelling TEXT;
ALTER TABLE auth_mail_outbox ADD COLUMN address_spelling TEXT;
