-- The data keys that stored values name: a server looks them up at its start, among any number of rows.
CREATE INDEX auth_credentials_data_key ON auth_credentials
    ((CASE kind WHEN 'totp' THEN substr(payload, 9, 8) ELSE substr(payload, 1, 8) END))
    WHERE kind IN ('totp', 'backup_codes');
CREATE INDEX auth_users_pepper ON auth_users (substr(password_hash, strpos(password_hash, ',keyid=') + 7, 11))
    WHERE strpos(password_hash, ',keyid=') > 0
    AND substr(password_hash, strpos(password_hash, ',keyid=') + 18, 1) IN ('$', ',');
