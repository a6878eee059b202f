"""The three ways to have Pillion: wheel, editable install, checkout."""
