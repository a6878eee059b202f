"""Alert rules, a module for each thing that is watched: what is wrong, since when, and what to do about it."""
