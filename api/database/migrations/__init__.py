"""Alembic migrations, in the package and run at every start."""
