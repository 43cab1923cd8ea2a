"""Floor 4: one room for each chapter of the API. Rooms never import each other."""
