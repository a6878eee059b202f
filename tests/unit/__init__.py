"""Tests without sockets and in virtual time; the folders mirror ``agent``."""
