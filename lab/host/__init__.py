"""What runs on the machine itself: plans the tests, boots the virtual machines and tells how it went."""
