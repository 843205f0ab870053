"""Studies of the novelty bonuses."""
