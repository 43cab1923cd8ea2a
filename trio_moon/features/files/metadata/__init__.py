"""What a G-code file says of itself: read from its head and tail, kept in the store, with its pictures in `.thumbs`."""
