"""Sensors enrolled by one-time tokens: certificates issued, renewed and revoked."""
