"""Tests of inject.manifests."""
