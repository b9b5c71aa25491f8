"""Programs that show qiot at work: begin with `python -m qiot.samples.wifi_config_sample`."""
