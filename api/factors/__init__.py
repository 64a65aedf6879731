"""Second factors of accounts: codes of an authenticator, and recovery codes for who has lost it."""
