"""What authorities are told of a plant: incidents of which a report was submitted, and the reports that were."""
