"""Small Flask services for the stories; unmodified in the sense that matters: they know nothing of Pillion."""
