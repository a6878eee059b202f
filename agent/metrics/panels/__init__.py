"""The dashboard's panels, a module for each part of it: what is asked, and what a line is called."""
