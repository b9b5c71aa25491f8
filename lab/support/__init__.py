"""What lab tests are built from: radios, namespaces, access points, phones and the device's own daemons."""
