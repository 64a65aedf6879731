"""Speed of the distributed way: `make bench-distributed`."""
