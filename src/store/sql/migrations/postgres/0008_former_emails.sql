-- The worker looks for the rows of former addresses by their age.
CREATE INDEX auth_credentials_kind ON auth_credentials (kind, id);
