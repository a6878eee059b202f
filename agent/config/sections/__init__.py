"""The declarations, a module a section. Add a setting here and nowhere else: flag, variable, schema and docs
follow."""
