"""A study: a set of runs, those that are missing, what they will cost, and training them."""
