"""The core: policy. It knows steps, turns, tries and errors, and no platform, no radio and no wire."""
