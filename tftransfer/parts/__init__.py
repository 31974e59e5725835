"""The parts that networks and trainers are made of."""
