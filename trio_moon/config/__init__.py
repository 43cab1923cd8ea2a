"""Floor 2: the text of `moonraker.conf`: includes, sections, typed getters, templates."""
