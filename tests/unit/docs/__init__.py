"""Examples of the documentation, held against the program: settings are loaded, commands are parsed."""
