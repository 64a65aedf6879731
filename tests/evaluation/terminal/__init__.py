"""A tank terminal unlike the virtual plant, and what is done to it: captures that no rule was written for."""
