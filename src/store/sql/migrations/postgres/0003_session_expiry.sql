-- Sessions that are over, for their removal. Refreshing never moves it, unlike the end of an idle one.
CREATE INDEX auth_sessions_expiry ON auth_sessions (expires_at);
