"""The virtual plant: a water works and a boiler house under real Modbus stacks, with people at work and attackers among them."""
