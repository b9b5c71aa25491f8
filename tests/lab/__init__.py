"""Tests of the lab's runner, on the machine itself: no virtual machine is started."""
