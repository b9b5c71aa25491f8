"""What runs inside the virtual machine before and around the tests."""
