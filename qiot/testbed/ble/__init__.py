"""The byte bench: one side of a Bluetooth protocol at a time, octets in and octets out, time by hand."""
