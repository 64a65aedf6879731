"""Actions in the plant: proposed, approved by two people, carried out by people, verified in the traffic."""
