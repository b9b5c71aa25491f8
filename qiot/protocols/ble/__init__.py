"""Protocols over Bluetooth Low Energy (GATT)."""
