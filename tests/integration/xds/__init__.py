"""Tests of xds."""
