"""The workflows of .github: what they call is there, and what they may do is little."""
