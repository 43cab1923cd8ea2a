"""The files room: roots, uploads and downloads, and the metadata of what can be printed."""
