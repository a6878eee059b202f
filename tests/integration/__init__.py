"""Tests of one capability against real servers."""
