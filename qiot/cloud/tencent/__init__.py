"""Tencent IoT Explorer: dynamic registration, MQTT credentials, binding, properties."""
