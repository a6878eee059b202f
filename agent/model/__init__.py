"""Frozen value types that capabilities share. Pure: no I/O, no clock, no settings.

Everything here is compared by value, so that a ``Latest`` cell can tell a change from a repetition.
"""
