"""A tank terminal that has nothing of the virtual plant but its wire, and what is done to it: captures that no rule was written for."""
