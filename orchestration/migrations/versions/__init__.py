"""How the tables of a durable log came to be, one step after the other."""
