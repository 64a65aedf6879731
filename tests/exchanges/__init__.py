"""Captures of real protocol stacks that talk to one another, made here, for what public captures lack.

Each is a few packets. `python -m tests.exchanges` makes them anew; `script.toml` says from what, `truth.json` what is true of
them.
"""
