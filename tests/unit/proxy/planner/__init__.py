"""Tests of proxy.planner."""
