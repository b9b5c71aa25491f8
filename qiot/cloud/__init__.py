"""Clouds: how this device reaches them, and one binder for each platform."""
