"""The images: their lock files, and how the agent's is made small."""
