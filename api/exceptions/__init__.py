"""Exceptions of the site: which alerts it does not want to see, why, and until when."""
