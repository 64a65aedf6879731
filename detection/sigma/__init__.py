"""Sigma rules over record tables: loaded and checked by pySigma, compiled to Polars expressions, correlated on event time."""
