"""Tests of what starts and ends the servers of the demo and of the tests."""
