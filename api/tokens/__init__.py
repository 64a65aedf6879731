"""API tokens: what programs call with, in place of a session."""
