"""Floor 5: turns bytes into calls and knows no rule of any feature."""
