"""Requests that change something, sent again with the same `Idempotency-Key`: carried out once, answered as the first time."""
