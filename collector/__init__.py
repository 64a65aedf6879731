"""The middle: records on the move (`collector.stream`), at rest (`collector.store`), and the way from one to the other."""
