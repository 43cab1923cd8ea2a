"""Floor 0: tools that know nothing of printers: topics, status boxes, supervision, reconnecting."""
