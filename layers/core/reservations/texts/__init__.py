"""Every text that clients and travelers read: a catalogue per language (`es.toml`, `en.toml`), compiled to Python."""
