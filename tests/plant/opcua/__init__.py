"""OPC UA of the plant: messages, a server and clients in memory, on the simulated clock, encoded by asyncua."""
