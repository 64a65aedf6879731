"""Assets: the devices that people have registered, what traffic shows of devices, and how the two differ."""
