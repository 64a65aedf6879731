"""The edge: packets in, record batches out. Installs and runs alone on a gateway."""
