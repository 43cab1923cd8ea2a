"""Floor 3: SQLite behind one worker thread."""
