"""Tests of proxy.xds."""
