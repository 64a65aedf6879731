"""Passkeys (Web Authentication, Level 3): as the second factor behind a password, or alone where they verify who holds them."""
