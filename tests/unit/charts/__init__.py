"""What is written into the charts, and the programs of their Jobs."""
