"""Tests of inject.mutate."""
