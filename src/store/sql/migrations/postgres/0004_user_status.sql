-- Accounts of one status, page by page, however few they are.
CREATE INDEX auth_users_status ON auth_users (tenant, status, id);
